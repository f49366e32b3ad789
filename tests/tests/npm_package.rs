//! The tracker's npm package as a site's build and its visitors' browsers use it, beside the plain tag.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tests::browser::Chromium;
use tests::cluster::Folder;
use tests::pages::{Page, Pages};
use tests::tag::{engine, kinds, says_nothing, shop_elsewhere, tag, visitor};
use tests::{SOON, Shop, npm, until};

/// What stands in the examples for a site's own.
const COLLECTOR: &str = "https://s.shop.example";
const KEY: &str = "wk_YOUR_KEY";

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tracker-wasm/npm").canonicalize().expect("the package")
}

/// A program of an npm package.
fn program(name: &str) -> Command {
    Command::new(npm::folder().join("node_modules/.bin").join(name))
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn read(path: &str) -> String {
    let path = package().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn types_accept_the_examples_and_refuse_what_is_wrong() {
    let right = program("tsc").arg("-p").arg(package()).output().expect("tsc runs");
    assert!(right.status.success(), "{}", text(&right));

    // The same without the lines that expect an error: each of them is one.
    let wrong = read("types.test.ts").replace("// @ts-expect-error", "// wrong:");
    let expected = wrong.matches("// wrong:").count();
    let folder = Folder::make();
    std::fs::write(folder.path().join("wrong.ts"), &wrong).expect("a file");
    let paths = json!({ "@segments/tracker": [package().join("index.d.ts")] });
    let config = json!({ "extends": package().join("tsconfig.json"), "compilerOptions": { "paths": paths },
                         "include": ["wrong.ts"] });
    std::fs::write(folder.path().join("tsconfig.json"), config.to_string()).expect("a file");
    let refused = program("tsc").arg("-p").arg(folder.path()).output().expect("tsc runs");
    let told = text(&refused);
    assert!(!refused.status.success() && expected > 10, "{told}");
    for (place, _) in wrong.lines().enumerate().filter(|(_, line)| line.starts_with("// wrong:")) {
        // Lines are counted from 1, and the one behind the comment is wrong.
        assert!(told.contains(&format!("wrong.ts({},", place + 2)), "line {} is accepted:\n{told}", place + 2);
    }
}

/// The module example as esbuild bundles it, with a site's own address and key.
fn bundled(shop: &Shop) -> String {
    let entry = package().join("examples/module/shop.ts");
    let output = program("esbuild").arg(entry).args(["--bundle", "--minify", "--format=iife"]).output();
    let output = output.expect("esbuild runs");
    assert!(output.status.success(), "{}", text(&output));
    own(shop, &String::from_utf8(output.stdout).expect("text"))
}

/// An example's file for this shop.
#[track_caller]
fn own(shop: &Shop, file: &str) -> String {
    assert!(file.contains(COLLECTOR) && file.contains(KEY), "{file}");
    file.replace(COLLECTOR, shop.web.origin()).replace(KEY, &shop.keys.write_key)
}

/// The profile as soon as its timeline has all of these.
#[track_caller]
fn told(shop: &Shop, who: &str, wanted: &[&str]) -> Value {
    until(&format!("{wanted:?} in the timeline"), SOON, || {
        let reply = shop.ask(&format!("/api/v1/profiles?{who}"));
        let profile = (reply.status == 200).then(|| reply.json())?;
        let seen = kinds(&profile);
        wanted.iter().all(|kind| seen.iter().any(|own| own == kind)).then_some(profile)
    })
}

#[test]
fn both_examples_tell_the_same_of_a_visit() {
    let shop = shop_elsewhere("full");
    let html = |path: &str, file: String| Page::file(path, "text/html; charset=utf-8", file.into_bytes());
    let script = |path: &str, file: String| Page::file(path, "text/javascript", file.into_bytes());
    let pages = Pages::serve(vec![
        html("/module/", read("examples/module/index.html")),
        script("/module/shop.js", bundled(&shop)),
        html("/tag/", own(&shop, &read("examples/tag/index.html"))),
        script("/tag/shop.js", read("examples/tag/shop.js")),
    ]);
    let mut visits = Vec::new();
    for path in ["/module/", "/tag/"] {
        // A browser of its own: the two examples are two visitors.
        let chromium = Chromium::start();
        let tab = chromium.tab();
        tab.goes_to(&pages.url(path)).sees("document.getElementById('engine').textContent == 'wasm'");
        let who = visitor(&tab);
        tab.clicks("#add").clicks("#choose").clicks("#buy");
        let profile = told(&shop, &who, &["page", "Product Viewed", "Product Added", "Plan Chosen", "Order Completed"]);
        let named = |name: &str| {
            let events = profile["events"].as_array().expect("events").iter();
            events.filter(|event| event["name"] == name).map(|event| event["properties"].clone()).collect::<Vec<_>>()
        };
        let names = ["Product Viewed", "Product Added", "Plan Chosen"];
        visits.push(json!([names.map(named), named("Order Completed")[0]["total"]]));
        shop.is_projected();
        let facts = shop.profile(&who)["facts"].clone();
        assert_eq!((&facts["views"], &facts["orders"]), (&json!(1), &json!(1)), "{path}: {facts}");
        tab.clicks("#refuse");
        assert_eq!(tab.value("Object.keys(localStorage)"), json!([]), "{path}: consent is taken back");
        says_nothing(&tab);
    }
    assert_eq!(visits[0], visits[1]);
    assert_eq!(
        visits[0][0][1],
        json!([{ "product_id": "G-32", "name": "Kettle", "category": "Gear", "price": 49.9,
                                         "currency": "EUR", "quantity": 1 }])
    );
    assert_eq!(shop.outcomes().rejected.len(), 0, "{:?}", shop.outcomes());
}

#[test]
fn who_logs_in_on_a_bundled_page_is_known() {
    let shop = shop_elsewhere("full");
    let pages = Pages::serve(vec![
        Page::file("/", "text/html; charset=utf-8", read("examples/module/index.html").into_bytes()),
        Page::file("/shop.js", "text/javascript", bundled(&shop).into_bytes()),
    ]);
    let chromium = Chromium::start();
    let tab = chromium.tab();
    tab.goes_to(&pages.url("/")).clicks("#log-in");
    let who = visitor(&tab);
    let profile = told(&shop, &who, &["page", "identify"]);
    let ids: Vec<&Value> =
        profile["identities"].as_array().expect("identities").iter().map(|id| &id["value"]).collect();
    assert!(ids.contains(&&json!("customer-17")), "{ids:?}");
}

#[test]
fn a_tag_and_the_package_on_one_page_count_once() {
    let shop = shop_elsewhere("full");
    let begin = format!(
        "const begin = ({{ segments }}) => {{
             segments.track('Before');
             segments.init({{ site: '{}', api: '{}', consent: 'full' }});
             segments.track('After');
             segments.ready(() => (window.told = 1));
         }};",
        shop.keys.write_key,
        shop.web.origin()
    );
    // While the tag's script is on its way, and when it is there.
    let together = format!("import * as it from './segments.js'; {begin} begin(it)");
    let later = format!("import * as it from './segments.js'; {begin} window.begin = () => begin(it)");
    let head = |script: &str| {
        format!("{}<script type=\"module\" src=\"{script}\"></script>", tag(&shop, "data-consent=\"full\""))
    };
    let pages = Pages::serve(vec![
        Page::html("/together", &head("/together.js"), ""),
        Page::html("/later", &head("/later.js"), ""),
        Page::file("/together.js", "text/javascript", together.into_bytes()),
        Page::file("/later.js", "text/javascript", later.into_bytes()),
        Page::file("/segments.js", "text/javascript", read("index.js").into_bytes()),
    ]);
    for path in ["/together", "/later"] {
        let chromium = Chromium::start();
        let tab = chromium.tab();
        tab.goes_to(&pages.url(path));
        assert_eq!(engine(&tab), "wasm");
        if path == "/later" {
            tab.sees("window.begin").value("begin()");
        }
        tab.sees("window.told");
        let who = visitor(&tab);
        tab.leaves();
        let profile = told(&shop, &who, &["page", "Before", "After"]);
        let kinds = kinds(&profile);
        let count = |kind: &str| kinds.iter().filter(|own| *own == kind).count();
        assert_eq!((count("page"), count("Before"), count("After")), (1, 1, 1), "{path}: {kinds:?}");
    }
}

#[test]
fn a_page_whose_collector_is_away_works_and_is_told_so() {
    let nobody = Pages::serve(Vec::new());
    let site = format!("segments.init({{ site: 'wk_1', api: '{}' }});", nobody.origin());
    let script = format!(
        "import {{ segments }} from './segments.js'; segments.track('Early'); {site}
         segments.ready(({{ engine }}) => {{ window.early = engine; segments.ready(({{ engine }}) => (window.late = engine)) }});"
    );
    let pages = Pages::serve(vec![
        Page::html("/", "<script type=\"module\" src=\"/page.js\"></script>", ""),
        Page::file("/page.js", "text/javascript", script.into_bytes()),
        Page::file("/segments.js", "text/javascript", read("index.js").into_bytes()),
    ]);
    let chromium = Chromium::start();
    let tab = chromium.tab();
    tab.goes_to(&pages.url("/")).sees("window.late");
    assert_eq!(tab.value("[window.early, window.late]"), json!(["none", "none"]));
    // The browser says itself that there is no such script; nothing else is said.
    let thrown: Vec<String> = tab.console().into_iter().filter(|line| !line.contains("/t.js")).collect();
    assert_eq!(thrown, Vec::<String>::new());
}

#[test]
fn on_a_server_calls_do_nothing_and_nothing_is_kept() {
    let script = "
        const { segments } = await import(process.argv[1]);
        const before = Object.keys(globalThis).length;
        segments.init({ site: 'wk_1', api: 'https://s.shop.example' });
        const heap = () => (gc(), process.memoryUsage().heapUsed);
        const empty = heap();
        for (let n = 0; n < 100000; n++) segments.track('Seen', { n });
        for (const name of ['page', 'identify', 'group', 'alias', 'reset', 'consent']) segments[name]('u1');
        segments.ready(() => { throw new Error('called') });
        await new Promise((later) => setTimeout(later, 10));
        console.log(JSON.stringify({ kept: heap() - empty < 1e6, globals: Object.keys(globalThis).length - before }));
    ";
    let mut node = Command::new("node");
    node.args(["--expose-gc", "--input-type=module", "-e", script]).arg(package().join("index.js"));
    let output = node.output().expect("node runs");
    assert!(output.status.success(), "{}", text(&output));
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(said, json!({ "kept": true, "globals": 0 }));
}
