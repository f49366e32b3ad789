//! What browsers load: the tracker for owners' pages, styles and scripts for ours; all of it embedded in the binary.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};

/// One embedded file.
pub(crate) struct Asset {
    /// What the code calls it, `app.css`.
    pub(crate) name: &'static str,
    /// What it is called in URLs, `app.1f2e3d4c5b6a.css` when it may be cached for ever.
    pub(crate) file: &'static str,
    pub(crate) content_type: &'static str,
    /// Whether the file's name changes with its content.
    pub(crate) immutable: bool,
    /// `sha384-…`
    pub(crate) integrity: &'static str,
    bytes: &'static [u8],
    brotli: &'static [u8],
}

use table::ASSETS;

#[allow(unreachable_pub, reason = "the build script writes it without knowing where it is included")]
mod table {
    use super::Asset;
    include!(concat!(env!("OUT_DIR"), "/assets.rs"));
}

/// What a server with pages cannot do without.
const NEEDED: [&str; 7] = ["app.css", "app.js", "capture.js", "charts.js", "consent.js", "core.wasm", "t.js"];

/// The asset that the code calls so.
pub(crate) fn asset(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// Whether this binary has what browsers load.
///
/// # Errors
/// Says how to build it in.
pub(crate) fn check() -> Result<(), String> {
    match NEEDED.into_iter().find(|name| asset(name).is_none()) {
        None => Ok(()),
        Some(name) => Err(format!(
            "this binary was built without its assets ({name} is missing): run `cargo xtask assets` and build again"
        )),
    }
}

/// The files' names for pages.
pub(crate) fn names() -> dashboard::Assets {
    let file = |name: &str| asset(name).map_or(name, |asset| asset.file).to_owned();
    dashboard::Assets { css: file("app.css"), app_js: file("app.js"), charts_js: file("charts.js") }
}

/// The tracker: owners' pages load it from anywhere.
pub(super) fn tracker_routes(config: &mut web::ServiceConfig) {
    config.service(resource("/{file:t\\.js}", tracker));
    config.service(resource("/{file:t\\.[0-9a-f]+\\.js}", tracker));
    config.service(resource("/{file:(?:capture|consent)\\.[0-9a-f]+\\.js}", tracker));
    config.service(resource("/{file:core\\.[0-9a-f]+\\.wasm}", tracker));
}

/// Styles and scripts of our own pages.
pub(super) fn page_routes(config: &mut web::ServiceConfig) {
    config.service(resource("/assets/{file}", page));
}

fn resource<F, R>(path: &str, handler: F) -> actix_web::Resource
where
    F: Fn(HttpRequest, web::Path<String>) -> R + Copy + 'static,
    R: Future<Output = HttpResponse> + 'static,
{
    let handler = move |request: HttpRequest, file: web::Path<String>| handler(request, file);
    web::resource(path).route(web::get().to(handler)).route(web::head().to(handler))
}

async fn tracker(request: HttpRequest, file: web::Path<String>) -> HttpResponse {
    let mut response = serve(request.headers(), &file);
    // Pages of other origins load these, also with `integrity=`, and pages that isolate themselves.
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin"),
        (header::HeaderName::from_static("timing-allow-origin"), "*"),
    ] {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}

async fn page(request: HttpRequest, file: web::Path<String>) -> HttpResponse {
    serve(request.headers(), &file)
}

fn serve(headers: &HeaderMap, file: &str) -> HttpResponse {
    let Some(asset) = ASSETS.iter().find(|asset| asset.file == file) else {
        return HttpResponse::NotFound()
            .content_type("text/plain; charset=utf-8")
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body("no such file; pages name those of this version");
    };
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok()).unwrap_or("");
    let as_brotli = accepts_brotli(text(header::ACCEPT_ENCODING));
    // Two bodies are two entities.
    let tag = format!("\"{}{}\"", &asset.integrity["sha384-".len()..], if as_brotli { "-br" } else { "" });
    let is_known = names_tag(text(header::IF_NONE_MATCH), &tag);
    let mut response = HttpResponse::build(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    response
        .insert_header((header::ETAG, tag))
        .insert_header((header::VARY, "Accept-Encoding"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((
            header::CACHE_CONTROL,
            if asset.immutable { "public, max-age=31536000, immutable" } else { "public, max-age=3600" },
        ));
    if is_known {
        return response.finish();
    }
    response.content_type(asset.content_type);
    if as_brotli {
        return response.insert_header((header::CONTENT_ENCODING, "br")).body(asset.brotli);
    }
    response.body(asset.bytes)
}

/// Whether an `Accept-Encoding` names brotli and does not refuse it.
fn accepts_brotli(accepted: &str) -> bool {
    accepted.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_brotli = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("br"));
        let refused = parts.any(|part| {
            let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0))
        });
        is_brotli && !refused
    })
}

/// Whether an `If-None-Match` names this tag, as caches write it: a list, weak ones too, or a star.
fn names_tag(header: &str, tag: &str) -> bool {
    header.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brotli_is_sent_to_those_who_take_it() {
        assert!(accepts_brotli("gzip, deflate, br, zstd"));
        assert!(accepts_brotli("BR;q=0.5"));
        assert!(!accepts_brotli("gzip, br;q=0"));
        assert!(!accepts_brotli("gzip, brotli"));
        assert!(!accepts_brotli(""));
    }

    #[test]
    fn a_known_tag_is_found_in_a_list() {
        assert!(names_tag("\"a\", W/\"b\"", "\"b\""));
        assert!(names_tag("*", "\"b\""));
        assert!(!names_tag("\"b-br\"", "\"b\""));
        assert!(!names_tag("", "\"b\""));
    }

    #[test]
    fn every_embedded_file_has_a_tag_to_be_known_by() {
        for asset in ASSETS {
            assert!(asset.integrity.starts_with("sha384-"), "{}", asset.name);
            assert_eq!(asset.immutable, asset.name != asset.file, "{}", asset.name);
        }
    }
}
