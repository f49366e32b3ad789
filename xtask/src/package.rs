//! The tracker's npm package: its types, written from the words in `wire::vocabulary`, and what it weighs.

use crate::tracker::brotli_size;
use anyhow::{Context as _, Result, bail};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use wire::vocabulary::{ATTRIBUTES, Argument, CALLS, CONSENT, Call, EVENTS, Kind, PRODUCT, Property, Says, Takes};

/// Where the package is.
const FOLDER: &str = "tracker-wasm/npm";

/// Most bytes of the package in a site's bundle, brotli.
const BUDGET: usize = 640;

/// What stands before everything that is written from the table.
const HEAD: &str = "\
// Written by `cargo xtask assets` from wire/src/vocabulary.rs: change that, not this.

/** What JSON can hold; a date becomes its ISO text, `undefined` is left out. */
export type Value =
  | string | number | boolean | null | undefined | Date
  | readonly Value[] | { readonly [name: string]: Value };

/** Values by their names. */
export type Properties = { readonly [name: string]: Value };

/** What names somebody or something. */
export type Id = string | number;

/** In the currency's main unit; a number may stand as text. */
export type Amount = number | `${number}`;

/**
 * How the tracker runs: with its core, without it, or not at all because its script did not load. `sampled` is whether
 * this visitor is told of, where `sample` leaves some out.
 */
export type Status =
  | { engine: 'wasm'; sampled: boolean; queued: number; dropped: number }
  | { engine: 'js'; sampled: boolean }
  | { engine: 'none' };
";

/// What stands behind it.
const TAIL: &str = "\
type Told<Name extends string> = Name extends keyof ShopEvents
  ? {} extends ShopEvents[Name]
    ? [properties?: ShopEvents[Name]]
    : [properties: ShopEvents[Name]]
  : [properties?: Properties];

/** The tracker of this page. On a server, and once its script could not be loaded, calls do nothing. */
export declare const segments: {
  /** Loads the tracker, once; what was called before is told then. */
  init(options: Options): void;
";

/// Writes `index.d.ts` where it is not what it should be. Only where somebody asks for it: tests compare.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_types(root: &Path) -> Result<()> {
    let file = root.join(FOLDER).join("index.d.ts");
    let types = types();
    if fs::read_to_string(&file).ok().as_deref() != Some(types.as_str()) {
        println!("writing {FOLDER}/index.d.ts anew");
        fs::write(&file, types).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// A sentence where the package is larger than it may be, or than its README says.
///
/// # Errors
/// When esbuild fails, or a file cannot be read.
pub(crate) fn over_budget(root: &Path, node_modules: &Path) -> Result<Vec<String>> {
    let package = root.join(FOLDER);
    let size = bundled_size(&package, node_modules)?;
    let mut over = Vec::new();
    if size > BUDGET {
        over.push(format!("npm package: {size} bytes brotli, limit {BUDGET}"));
    }
    let readme = fs::read_to_string(package.join("README.md")).context("the npm package has no README.md")?;
    if !readme.contains(&format!("**{size} bytes**")) {
        over.push(format!("{FOLDER}/README.md does not say **{size} bytes**, which is what the package weighs"));
    }
    Ok(over)
}

/// As a site's bundler would take it: minified, then compressed.
fn bundled_size(package: &Path, node_modules: &Path) -> Result<usize> {
    let mut esbuild = Command::new(node_modules.join(".bin/esbuild"));
    esbuild.arg(package.join("index.js")).args(["--minify", "--format=esm", "--target=es2020", "--log-level=warning"]);
    let output = esbuild.output().context("cannot run esbuild; is it installed?")?;
    if !output.status.success() {
        bail!("esbuild cannot read the npm package: {}", String::from_utf8_lossy(&output.stderr));
    }
    brotli_size(&output.stdout)
}

/// The whole of `index.d.ts`.
fn types() -> String {
    let words = CONSENT.map(|word| format!("'{word}'")).join(" | ");
    let mut text = format!(
        "{HEAD}\n/** How much may be told, as a word or as consent managers keep it. */\n\
         export type Consent = {words} | {{ analytics: boolean }} | {{ measure: boolean }};\n\n\
         /** A product, in a list or as what an event is about; further properties are welcome. */\n\
         export interface Product {{\n{}}}\n\n\
         /** The events of shops that have a meaning, by their names. */\nexport interface ShopEvents {{\n",
        members(PRODUCT.iter(), "  "),
    );
    for event in EVENTS {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  /** {} */\n  '{}': {{\n{}  }};",
            event.about,
            event.name,
            members(event.properties(), "    ")
        );
    }
    let _ = writeln!(text, "}}\n\n{}\n{TAIL}{}}};", options(), CALLS.iter().map(call).collect::<String>());
    text
}

/// The members of an object of these properties, and of any of the site's own.
fn members(properties: impl Iterator<Item = &'static Property>, indent: &str) -> String {
    let mut text = String::new();
    for property in properties {
        let optional = if property.required { "" } else { "?" };
        let _ = writeln!(text, "{indent}{}{optional}: {};", property.name, kind(property.kind));
    }
    text + indent + "[own: string]: Value;\n"
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Id => "Id",
        Kind::Text | Kind::Currency | Kind::Url => "string",
        Kind::Amount => "Amount",
        Kind::Count | Kind::Number => "number",
        Kind::Flag => "boolean",
        Kind::Products => "readonly Product[]",
        Kind::Choices => "readonly { type: string; value: string }[]",
    }
}

/// What `init` takes: the tag's attributes, and what belongs to the script's element itself.
fn options() -> String {
    let mut text =
        "/** The tag's `data-` attributes, and how its script is loaded. */\nexport interface Options {\n".to_owned();
    for attribute in ATTRIBUTES {
        let says = match attribute.says {
            Says::Text => "string".to_owned(),
            Says::Count => "number".to_owned(),
            Says::Word(words) => words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" | "),
            Says::Presence => "boolean".to_owned(),
            Says::PresenceOrOff => "boolean | 'off'".to_owned(),
        };
        // The package has no script that it came from.
        let optional = if attribute.required || attribute.name == "api" { "" } else { "?" };
        let about = attribute.about.split("; of the tag").next().unwrap_or(attribute.about).trim_end_matches('.');
        let _ = writeln!(text, "  /** {about}. */\n  {}{optional}: {says};", option(attribute.name));
    }
    text + "  /** Where the script is, if not at `/t.js` of `api`. */\n  src?: string;\n\
            \x20 /** The script's hash, for a `src` that is pinned. */\n  integrity?: string;\n\
            \x20 /** The nonce that the page's Content-Security-Policy asks for. */\n  nonce?: string;\n}\n"
}

/// As an element's `dataset` names it: `dead-clicks` is `deadClicks`.
fn option(attribute: &str) -> String {
    let mut parts = attribute.split('-');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (first, rest) = part.split_at(1);
        name += &first.to_uppercase();
        name += rest;
    }
    name
}

fn call(call: &Call) -> String {
    let mut text = String::new();
    for way in call.ways {
        let arguments: Vec<String> = way.iter().map(argument).collect();
        let generic = match way {
            [Argument { takes: Takes::Event, .. }] => "<Name extends keyof ShopEvents | (string & {})>",
            _ => "",
        };
        let _ = writeln!(text, "  /** {} */\n  {}{generic}({}): void;", call.about, call.name, arguments.join(", "));
    }
    text
}

fn argument(argument: &Argument) -> String {
    let optional = if argument.optional { "?" } else { "" };
    let takes = match argument.takes {
        Takes::Id => "Id",
        Takes::Properties => "Properties",
        Takes::Consent => "Consent",
        Takes::Flag => "boolean",
        Takes::Listener => "(status: Status) => void",
        Takes::Event => "Name, ...properties: Told<Name>",
    };
    format!("{}{optional}: {takes}", argument.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(FOLDER).join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    #[test]
    fn the_packages_types_are_those_of_the_table() {
        let (committed, now) = (file("index.d.ts"), types());
        // One line says enough of some hundred.
        let differs = committed.lines().zip(now.lines()).find(|(committed, now)| committed != now);
        assert_eq!(differs, None, "`cargo xtask assets` writes it anew");
        assert!(committed == now, "index.d.ts has another length; `cargo xtask assets` writes it anew");
    }

    #[test]
    fn the_package_has_every_call_of_the_table() {
        let script = file("index.js");
        let list = script.split("const CALLS = [").nth(1).and_then(|rest| rest.split(']').next()).expect("its calls");
        let names: Vec<&str> = list.split(',').map(|name| name.trim().trim_matches('\'')).collect();
        assert_eq!(names, CALLS.map(|call| call.name));
    }

    /// What follows `before` in any of the loader's files.
    fn words_after(before: &str) -> Vec<String> {
        let loader = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tracker-wasm/loader");
        let scripts = [loader.clone(), loader.join("capture")].into_iter().flat_map(|folder| {
            let files = fs::read_dir(folder).expect("the loader").map(|file| file.expect("a file").path());
            files.filter(|path| path.extension().is_some_and(|ending| ending == "js"))
        });
        let word =
            |rest: &str| rest.split(|letter: char| !letter.is_alphanumeric() && letter != '-').next().map(option);
        let words = |script: String| script.split(before).skip(1).filter_map(word).collect::<Vec<_>>();
        scripts.flat_map(|path| words(fs::read_to_string(path).expect("a script"))).collect()
    }

    #[test]
    fn every_attribute_that_the_loader_reads_is_in_the_table() {
        let known: Vec<String> = ATTRIBUTES.iter().map(|attribute| option(attribute.name)).collect();
        let script = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tracker-wasm/loader/main.js"));
        let script = script.expect("the loader");
        let taken = script.split("} = script.dataset").next().and_then(|start| start.rsplit('{').next());
        let mut read: Vec<String> =
            taken.expect("its attributes").split(',').map(|name| name.trim().to_owned()).collect();
        read.extend([words_after("wants('"), words_after(" data."), words_after("(data.")].concat());
        assert!(read.len() > 12, "{read:?}");
        for name in &read {
            assert!(known.contains(name), "{name} is read by the loader and not in wire::vocabulary::ATTRIBUTES");
        }
    }

    #[test]
    fn what_is_required_is_no_option() {
        let types = types();
        assert!(types.contains("'Order Completed': {\n    order_id: Id;\n    checkout_id?: Id;"), "{types}");
        assert!(types.contains("identify(userId: Id, traits?: Properties): void;"), "{types}");
        assert!(types.contains("identify(traits: Properties): void;"), "{types}");
        assert!(types.contains("  site: string;") && types.contains("  404?: boolean | 'off';"), "{types}");
        assert!(types.contains("  deadClicks?: 'off';"), "{types}");
    }
}
