//! The pages of the demo shop "Kettle & Crema": plain HTML, one style sheet, one script, nothing inline, so that they
//! work under a strict content security policy.

use super::catalogue::{ARTICLES, Article, BEANS, GEAR, PRODUCTS, Product, Shelf, product};

const HTML: &str = "text/html; charset=utf-8";

const LAYOUT: &str = include_str!("../../assets/demo/layout.html");
const PRODUCT: &str = include_str!("../../assets/demo/product.html");
const LIST: &str = include_str!("../../assets/demo/list.html");

/// Pages that are nothing but their own text: path, title, description, content.
const PAGES: [(&str, &str, &str, &str); 8] = [
    (
        "",
        "Better mornings",
        "Small-batch coffee and the few tools it needs.",
        include_str!("../../assets/demo/home.html"),
    ),
    ("blog", "Journal", "Notes on brewing better coffee.", include_str!("../../assets/demo/blog.html")),
    ("club", "Brew Club", "Beans on your rhythm, 15 % off.", include_str!("../../assets/demo/club.html")),
    ("newsletter", "The Sunday Pour", "One brewing idea a week.", include_str!("../../assets/demo/newsletter.html")),
    ("account", "Your account", "Sign in to Kettle & Crema.", include_str!("../../assets/demo/account.html")),
    ("cart", "Your cart", "What you have chosen.", include_str!("../../assets/demo/cart.html")),
    ("checkout", "Checkout", "Nearly there.", include_str!("../../assets/demo/checkout.html")),
    ("thank-you", "Thank you", "Your order is placed.", include_str!("../../assets/demo/thank-you.html")),
];

/// What the shop answers for `path`, given as what follows `/demo/` (the home page is the empty path): the content type
/// and the body, with the site's public `write_key` in the tag. `None` for a page that does not exist.
///
/// Links are relative: `/demo` without the slash has to be redirected to `/demo/`.
pub fn page(path: &str, write_key: &str) -> Option<(&'static str, Vec<u8>)> {
    match path {
        "shop.css" => return Some(("text/css; charset=utf-8", include_bytes!("../../assets/demo/shop.css").to_vec())),
        "shop.js" => {
            return Some(("text/javascript; charset=utf-8", include_bytes!("../../assets/demo/shop.js").to_vec()));
        }
        "icon.svg" => return Some(("image/svg+xml", include_bytes!("../../assets/demo/icon.svg").to_vec())),
        _ => {}
    }
    let (title, description, content) = if let Some(slug) = path.strip_prefix("shop/") {
        let found = product(slug)?;
        (found.name, found.description, product_page(found))
    } else if let Some(slug) = path.strip_prefix("blog/") {
        let article = ARTICLES.iter().find(|article| article.slug == slug)?;
        (article.title, article.teaser, article.html.to_owned())
    } else if let Some(shelf) = [&BEANS, &GEAR].into_iter().find(|shelf| shelf.path == path) {
        (shelf.title, shelf.description, shelf_page(shelf))
    } else {
        let (_, title, description, content) = PAGES.iter().find(|(name, ..)| *name == path)?;
        (*title, *description, (*content).to_owned())
    };
    // One folder down, everything is one folder up.
    let base = if path.contains('/') { "../" } else { "" };
    let html = LAYOUT
        .replace("{{content}}", &fill(content))
        .replace("{{title}}", &escape(title))
        .replace("{{description}}", &escape(description))
        .replace("{{page}}", if path.is_empty() { "home" } else { path })
        .replace("{{base}}", base)
        .replace("{{write_key}}", &escape(write_key));
    Some((HTML, html.into_bytes()))
}

/// Every path that [`page`] answers with HTML, beginning with the home page.
pub fn paths() -> impl Iterator<Item = String> {
    let pages = PAGES.iter().map(|(path, ..)| (*path).to_owned());
    let shelves = [&BEANS, &GEAR].into_iter().map(|shelf| shelf.path.to_owned());
    let products = PRODUCTS.iter().map(|product| format!("shop/{}", product.id));
    let articles = ARTICLES.iter().map(|article| format!("blog/{}", article.slug));
    pages.chain(shelves).chain(products).chain(articles)
}

fn product_page(product: &Product) -> String {
    PRODUCT
        .replace("{{id}}", product.id)
        .replace("{{name}}", &escape(product.name))
        .replace("{{price}}", &product.price())
        .replace("{{category_path}}", product.shelf.path)
        .replace("{{category}}", product.shelf.title)
        .replace("{{description}}", &escape(product.description))
        .replace("{{art}}", product.art.trim_end())
        .replace("{{facts}}", &product.facts.map(|fact| format!("<li>{}</li>", escape(fact))).concat())
        .replace("{{cards}}", &cards(product.pairs_with))
}

fn shelf_page(shelf: &Shelf) -> String {
    let ids = PRODUCTS.iter().filter(|product| product.shelf == shelf).map(|product| product.id);
    LIST.replace("{{category}}", shelf.title).replace("{{cards}}", &cards(ids))
}

/// Puts in what pages ask for by name: `{{art:ID}}`, `{{cards:ID,ID}}` and `{{posts}}`.
fn fill(mut content: String) -> String {
    content = content.replace("{{posts}}", &ARTICLES.iter().map(post).collect::<String>());
    while let Some((before, rest)) = content.split_once("{{cards:") {
        let Some((ids, after)) = rest.split_once("}}") else { break };
        content = format!("{before}{}{after}", cards(ids.split(',')));
    }
    while let Some((before, rest)) = content.split_once("{{art:") {
        let Some((id, after)) = rest.split_once("}}") else { break };
        content = format!("{before}{}{after}", product(id).map_or("", |product| product.art.trim_end()));
    }
    content
}

fn cards<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    ids.into_iter()
        .filter_map(product)
        .map(|product| {
            format!(
                "<a class=\"item\" data-id=\"{}\" href=\"{{{{base}}}}shop/{}\"><div class=\"art\" aria-hidden=\"true\">{}</div>\
                 <div><h3>{}</h3><p>{}</p><b>${}</b></div></a>\n",
                product.id,
                product.id,
                product.art.trim_end(),
                escape(product.name),
                escape(product.description),
                product.price(),
            )
        })
        .collect()
}

fn post(article: &Article) -> String {
    format!(
        "<a class=\"post\" href=\"{{{{base}}}}blog/{}\"><small>{}</small><h3>{}</h3><p>{}</p></a>\n",
        article.slug,
        article.kind,
        escape(article.title),
        escape(article.teaser),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(path: &str) -> String {
        let (kind, body) = page(path, "wk_test").unwrap_or_else(|| panic!("no page {path:?}"));
        assert_eq!(kind, HTML);
        String::from_utf8(body).unwrap()
    }

    /// The values of an attribute, in order.
    fn attributes<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
        let start = format!(" {name}=\"");
        html.match_indices(&start)
            .map(|(at, _)| {
                let rest = &html[at + start.len()..];
                &rest[..rest.find('"').unwrap()]
            })
            .collect()
    }

    #[test]
    fn every_page_is_whole_and_carries_the_tag() {
        for path in paths() {
            let html = html(&path);
            assert!(html.contains("src=\"/t.js\" data-site=\"wk_test\" data-consent=\"full\""), "{path}");
            assert!(!html.contains("{{"), "{path}: {}", &html[html.find("{{").unwrap()..][..40]);
            assert_eq!(html.matches("<h1").count(), 1, "{path}");
            assert!(html.contains("<svg") && html.contains("<title>"), "{path}");
        }
    }

    #[test]
    fn nothing_is_inline_so_that_a_strict_policy_holds() {
        for path in paths() {
            let html = html(&path);
            for tag in html.split("<script").skip(1) {
                assert!(tag.split_once("</script>").unwrap().0.ends_with('>'), "{path}: an inline script");
            }
            assert!(!html.contains("<style") && attributes(&html, "style").is_empty(), "{path}: an inline style");
            for (at, _) in html.match_indices(" on") {
                let name = html[at + 1..].split(|c: char| !c.is_ascii_alphabetic()).next().unwrap();
                assert!(!html[at + 1 + name.len()..].starts_with('='), "{path}: an inline handler {name}");
            }
        }
    }

    #[test]
    fn every_link_leads_to_a_page() {
        for path in paths() {
            let html = html(&path);
            let targets = ["href", "action"].into_iter().flat_map(|name| attributes(&html, name));
            for link in targets.filter(|link| !link.starts_with('#')) {
                let target = match link.strip_prefix("../") {
                    Some(up) => up,
                    None => {
                        assert!(!path.contains('/'), "{path}: {link} stays in the folder");
                        link
                    }
                };
                let target = target.strip_prefix("./").unwrap_or(target);
                assert!(page(target, "k").is_some(), "{path}: {link}");
            }
        }
    }

    #[test]
    fn labels_belong_to_fields_and_ids_are_unique() {
        for path in paths() {
            let html = html(&path);
            let ids = attributes(&html, "id");
            let unique: std::collections::HashSet<_> = ids.iter().collect();
            assert_eq!(unique.len(), ids.len(), "{path}: {ids:?}");
            for field in attributes(&html, "for") {
                assert!(ids.contains(&field), "{path}: label for {field}");
            }
        }
    }

    #[test]
    fn a_hostile_key_stays_text_and_unknown_pages_are_none() {
        let (_, body) = page("", "\"><script>alert(1)</script>").unwrap();
        assert!(!String::from_utf8(body).unwrap().contains("<script>alert"));
        for path in ["nope", "shop/nope", "shop/", "blog/nope", "../Cargo.toml", "shop/../cart", "/"] {
            assert!(page(path, "k").is_none(), "{path}");
        }
    }
}
