//! Builds what the script tag loads: `t.js` (the loader), `capture.<hash>.js` (listeners and bindings) and
//! `core.<hash>.wasm`; for tags that name a consent manager also `consent.<hash>.js`, and `debug.<hash>.js` where somebody
//! asks for it.
//!
//! Every step here exists for its bytes; `tracker-wasm/README.md` says what each one saves.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use wasm_bindgen_cli_support::Bindgen;

/// Most bytes of `t.js`, brotli.
pub const LOADER_BUDGET: usize = 3_584;
/// Most bytes of all files that every visitor loads, brotli, with the standard library built for size.
pub const TOTAL_BUDGET: usize = 20_480;
/// Most bytes of all files, brotli, where only the standard library of the toolchain is at hand.
pub const PLAIN_TOTAL_BUDGET: usize = 26_624;

/// What browsers are told of a script: compile all its functions at once, which they do on another thread while it is
/// downloaded, and not one after the other when each is called, which the page would wait for. Where it is no command it
/// is a comment.
///
/// Source: <https://v8.dev/blog/explicit-compile-hints>
const COMPILE_HINT: &str = "//# allFunctionsCalledOnLoad";

/// What the Rust target may use, and no more: features that an engine in use lacks would send it to the fallback.
const WASM_FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Bytes of the core's stack. What is usual is a megabyte, which each page would pay for and nothing in the core needs.
const STACK: &str = "-Clink-arg=-zstack-size=65536";
const SMALL_STD: &str = "-Zunstable-options -Cpanic=immediate-abort -Zlocation-detail=none -Zfmt-debug=none";

/// One file of the tracker.
#[derive(Debug)]
pub struct Asset {
    /// File name inside the folder it was written to.
    pub name: String,
    /// Size as it is, in bytes.
    pub raw: usize,
    /// Size with brotli at its best, in bytes.
    pub brotli: usize,
    /// `sha256-…`, for `integrity`.
    pub integrity: String,
}

/// What [`build`] has written.
#[derive(Debug)]
pub struct TrackerAssets {
    /// `t.js`.
    pub loader: Asset,
    /// `capture.<hash>.js`; the loader has its path and its hash.
    pub capture: Asset,
    /// `consent.<hash>.js`; `capture.<hash>.js` has its path and its hash. Few tags load it: it is not in the budgets.
    pub consent: Asset,
    /// `core.<hash>.wasm`; the loader has its path and its hash.
    pub core: Asset,
    /// `debug.<hash>.js`; `capture.js` has its path and its hash.
    pub debugger: Asset,
    /// The standard library was built for size, which needs the toolchain's `rust-src`.
    pub std_for_size: bool,
}

impl TrackerAssets {
    /// One sentence for each budget of the design that is exceeded.
    pub fn over_budget(&self) -> Vec<String> {
        let total = self.loader.brotli + self.capture.brotli + self.core.brotli;
        let total_budget = if self.std_for_size { TOTAL_BUDGET } else { PLAIN_TOTAL_BUDGET };
        [("t.js", self.loader.brotli, LOADER_BUDGET), ("the tracker's files together", total, total_budget)]
            .into_iter()
            .filter(|(_, size, budget)| size > budget)
            .map(|(what, size, budget)| format!("{what}: {size} bytes brotli, limit {budget}"))
            .collect()
    }
}

/// Builds the tracker of the workspace at `root` into the folder `out`, with esbuild and binaryen from
/// `node_modules`.
///
/// # Errors
/// When cargo, the bindings, esbuild or wasm-opt fail or are missing; the message says which. Being over budget is no
/// error here: see [`TrackerAssets::over_budget`].
pub fn build(root: &Path, node_modules: &Path, out: &Path) -> Result<TrackerAssets> {
    let target = root.join("target").join("tracker");
    let work = target.join("assets");
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;

    let (module, std_for_size) = compile(root, &target)?;
    let (core, glue_text) = link(root, node_modules, &module, &work)?;
    let core_name = format!("core.{}.wasm", short_hash(&core));

    let glue = work.join("glue.js");
    fs::write(&glue, &glue_text).with_context(|| format!("cannot write {}", glue.display()))?;
    let bundle = |name: &str, more: &[String]| -> Result<Vec<u8>> {
        let bundled = work.join(name);
        // Through .bin: whether that is a script or the program itself depends on npm's install scripts.
        run(Command::new(node_modules.join(".bin/esbuild"))
            .arg(root.join("tracker-wasm/loader").join(name))
            .args(["--bundle", "--minify", "--format=iife", "--target=es2020", "--charset=utf8"])
            .args(["--legal-comments=none", "--log-level=warning"])
            .arg(format!("--banner:js={COMPILE_HINT}"))
            .args(more)
            .arg(format!("--outfile={}", bundled.display())))?;
        fs::read(&bundled).with_context(|| format!("cannot read {}", bundled.display()))
    };
    let define = |name: &str, value: &str| format!("--define:__{name}__=\"{value}\"");
    let consent = bundle("consent.js", &[])?;
    let consent_name = format!("consent.{}.js", short_hash(&consent));
    let debugger = bundle(
        "debug.js",
        &["--loader:.css=text".to_owned(), format!("--define:__VOCABULARY__={}", wire::vocabulary::events_json())],
    )?;
    let debugger_name = format!("debug.{}.js", short_hash(&debugger));
    let capture = bundle(
        "capture.js",
        &[
            format!("--alias:glue={}", glue.display()),
            define("CORE_URL", &core_name),
            define("CORE_INTEGRITY", &integrity(&core)),
            define("CONSENT_URL", &consent_name),
            define("CONSENT_INTEGRITY", &integrity(&consent)),
            define("DEBUG_URL", &debugger_name),
            define("DEBUG_INTEGRITY", &integrity(&debugger)),
        ],
    )?;
    let capture_name = format!("capture.{}.js", short_hash(&capture));
    let loader =
        bundle("main.js", &[define("CAPTURE_URL", &capture_name), define("CAPTURE_INTEGRITY", &integrity(&capture))])?;

    let write = |name: String, bytes: &[u8]| -> Result<Asset> {
        let path = out.join(&name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Asset { name, raw: bytes.len(), brotli: brotli_size(bytes)?, integrity: integrity(bytes) })
    };
    Ok(TrackerAssets {
        loader: write("t.js".to_owned(), &loader)?,
        capture: write(capture_name, &capture)?,
        consent: write(consent_name, &consent)?,
        core: write(core_name, &core)?,
        debugger: write(debugger_name, &debugger)?,
        std_for_size,
    })
}

/// Builds the core once more on the toolchain's own standard library, as it is built where the source of that library
/// cannot be had, and gives its size with brotli in bytes.
///
/// # Errors
/// As [`build`].
pub fn plain_core_size(root: &Path, node_modules: &Path) -> Result<usize> {
    let target = root.join("target").join("tracker");
    let work = target.join("plain-assets");
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    let (core, _) = link(root, node_modules, &compile_plain(root, &target)?, &work)?;
    brotli_size(&core)
}

/// The module as browsers get it, and the bindings' glue.
fn link(root: &Path, node_modules: &Path, module: &Path, work: &Path) -> Result<(Vec<u8>, String)> {
    let lean = root.join("tracker-wasm/loader/lean.js");
    let lean = fs::read_to_string(&lean).with_context(|| format!("cannot read {}", lean.display()))?;
    let bindings = bind(module, &lean, work)?;
    let bound = work.join("bound.wasm");
    fs::write(&bound, &bindings.module).with_context(|| format!("cannot write {}", bound.display()))?;
    let optimised = work.join("optimised.wasm");
    run(Command::new("node")
        .arg(node_modules.join("binaryen/bin/wasm-opt"))
        .args(["-Oz", "--converge", "--strip-debug", "--strip-producers", "--strip-target-features"])
        .args(WASM_FEATURES)
        .arg(&bound)
        .arg("-o")
        .arg(&optimised))?;
    let core = fs::read(&optimised).with_context(|| format!("cannot read {}", optimised.display()))?;
    Ok((core, bindings.glue))
}

/// Compiles the core, with a standard library built for size where the toolchain has its source.
fn compile(root: &Path, target: &Path) -> Result<(PathBuf, bool)> {
    if has_std_source(root)? {
        let small = target.join("small");
        let built = run(cargo(root)
            .args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"])
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", format!("{STACK} {SMALL_STD}"))
            .arg("--target-dir")
            .arg(&small));
        match built {
            Ok(()) => return Ok((module(&small), true)),
            // The flags are those of one compiler version; another one may refuse them.
            Err(error) => eprintln!("tracker: cannot build std for size, taking the toolchain's own: {error:#}"),
        }
    }
    Ok((compile_plain(root, target)?, false))
}

/// Compiles the core on the toolchain's own standard library.
fn compile_plain(root: &Path, target: &Path) -> Result<PathBuf> {
    let plain = target.join("plain");
    run(cargo(root).arg("--target-dir").arg(&plain))?;
    Ok(module(&plain))
}

fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(root)
        .args(["build", "--quiet", "--locked", "--package", "tracker-wasm", "--lib"])
        .args(["--target", "wasm32-unknown-unknown", "--profile", "tracker"])
        // The bindings read the section that says which features the module uses; wasm-opt strips later.
        .env("CARGO_PROFILE_TRACKER_STRIP", "debuginfo")
        .env("RUSTFLAGS", STACK)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR");
    cargo
}

fn module(target: &Path) -> PathBuf {
    target.join("wasm32-unknown-unknown/tracker/tracker_wasm.wasm")
}

/// Whether the toolchain that builds `root` has the source of its standard library.
fn has_std_source(root: &Path) -> Result<bool> {
    let output = Command::new("rustc")
        .current_dir(root)
        .args(["--print", "sysroot"])
        .output()
        .context("cannot run rustc; install Rust with rustup")?;
    ensure!(output.status.success(), "rustc --print sysroot failed: {}", String::from_utf8_lossy(&output.stderr));
    let sysroot = String::from_utf8(output.stdout).context("the path of the toolchain is not UTF-8")?;
    Ok(Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std/Cargo.toml").exists())
}

struct Bindings {
    module: Vec<u8>,
    /// An ES module with `imports`, for instantiating, and `bind(exports)`, which makes the exports ready to be called.
    glue: String,
}

/// Generates the bindings and shortens the names that module and glue share: they are hashes, some kilobytes of them,
/// and do not compress.
///
/// The core's own functions keep their names and are called without a wrapper, which [`pass_through`] allows; `lean`
/// has shorter forms of some generated functions.
fn bind(module: &Path, lean: &str, work: &Path) -> Result<Bindings> {
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(module)
        .bundler(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true);
    let mut output = bindgen.generate_output().with_context(|| format!("cannot bind {}", module.display()))?;
    // Written and read again because only the writer puts the indentation in order, which `shorten` goes by.
    output.emit(work).with_context(|| format!("cannot write the bindings to {}", work.display()))?;
    let script = work.join("tracker_wasm_bg.js");
    let script = fs::read_to_string(&script).with_context(|| format!("cannot read {}", script.display()))?;
    let public = pass_through(&script)?;
    let script = shorten(&script, lean)?;

    let mut short = ShortNames::default();
    let mut imports = Vec::new();
    for import in output.wasm_mut().imports.iter_mut() {
        let name = short.next();
        imports.push(format!("{name}: {}", import.name));
        import.module = "m".to_owned();
        import.name = name;
    }

    // An export is either called by the glue, or serves transformations that the bindings have done already.
    let mut used = property_names(&script, "wasm.");
    used.push("__wbindgen_start".to_owned());
    used.extend_from_slice(&public);
    let module = output.wasm_mut();
    let unused: Vec<_> =
        module.exports.iter().filter(|export| !used.contains(&export.name)).map(|export| export.id()).collect();
    unused.into_iter().for_each(|id| module.exports.delete(id));
    let mut renamed = HashMap::new();
    for export in module.exports.iter_mut() {
        let name = if public.contains(&export.name) { export.name.clone() } else { short.next() };
        renamed.insert(std::mem::replace(&mut export.name, name.clone()), name);
    }
    ensure!(renamed.contains_key("__wbindgen_start"), "the bindings have no start function: wasm-bindgen has changed");

    let mut glue = String::new();
    for line in script.lines() {
        let line = line.strip_prefix("export ").unwrap_or(line);
        glue.push_str(&rename_properties(line, "wasm.", &renamed)?);
        glue.push('\n');
    }
    glue.push_str(&format!(
        "export const imports = {{ m: {{ {} }} }};\n\
         export const bind = (exports) => {{ wasm = exports; wasm.{}(); return exports; }};\n",
        imports.join(", "),
        renamed["__wbindgen_start"],
    ));
    let module = output.wasm_mut().emit_wasm();
    Ok(Bindings { module, glue })
}

/// The names of the core's own functions, when the wrappers of all of them hand their arguments on as they are, so that
/// the module's exports can be called in their place.
fn pass_through(script: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut lines = script.lines();
    while let Some(line) = lines.next() {
        let Some(head) = line.strip_prefix("export function ").filter(|head| !head.starts_with("__w")) else {
            continue;
        };
        let call = head.strip_suffix(" {").context("a generated function does not begin as expected")?;
        let name = call.split('(').next().unwrap_or_default();
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "}").map(str::trim).collect();
        let plain = format!("wasm.{call};");
        let returning = format!("const ret = wasm.{call};");
        ensure!(
            body == [plain.as_str()] || body == [returning.as_str(), "return ret;"],
            "the core's function {name} needs a wrapper in JavaScript; give it numbers and JavaScript values only"
        );
        names.push(name.to_owned());
    }
    ensure!(!names.is_empty(), "the bindings export no function of the core: wasm-bindgen has changed");
    Ok(names)
}

/// Puts each function of `lean` in the place of the function of the same name in `script`.
fn shorten(script: &str, lean: &str) -> Result<String> {
    // Called when a closure is dropped; its name changes with the number of the exports.
    let drop_closure = script
        .lines()
        .find_map(|line| line.split("FinalizationRegistry(state => ").nth(1)?.split('(').next())
        .context("the bindings have no way to drop a closure: wasm-bindgen has changed")?;
    let mut script = script.to_owned();
    for function in lean.split("\nfunction ").skip(1) {
        let name = function.split('(').next().unwrap_or_default();
        let length = function.find("\n}\n").with_context(|| format!("lean.js: {name} does not end"))? + 3;
        let start = script
            .find(&format!("\nfunction {name}("))
            .with_context(|| format!("lean.js: the bindings have no function {name} any more"))?;
        let end = script[start..].find("\n}\n").with_context(|| format!("generated {name} does not end"))? + start + 3;
        let shorter = format!("\nfunction {}", &function[..length].replace("DROP_CLOSURE", drop_closure));
        script.replace_range(start..end, &shorter);
    }
    // What only the longer forms used.
    for (first, last) in [
        ("const CLOSURE_DTORS =", ";\n"),
        ("cachedTextDecoder.decode();", "\n"),
        ("if (!('encodeInto' in cachedTextEncoder))", "\n}\n"),
    ] {
        let start = script.find(first).with_context(|| format!("the bindings have no `{first}` any more"))?;
        let end = script[start..].find(last).with_context(|| format!("`{first}` does not end"))? + start + last.len();
        script.replace_range(start..end, "");
    }
    Ok(script)
}

/// Names in the order of their length: a … z, aa, ab, …
#[derive(Default)]
struct ShortNames(usize);

impl ShortNames {
    fn next(&mut self) -> String {
        let mut rest = self.0;
        self.0 += 1;
        let mut name = String::new();
        loop {
            name.insert(0, char::from(b'a' + (rest % 26) as u8));
            rest /= 26;
            if rest == 0 {
                return name;
            }
            rest -= 1;
        }
    }
}

/// The identifiers that follow `object` anywhere in `script`.
fn property_names(script: &str, object: &str) -> Vec<String> {
    script.split(object).skip(1).map(|rest| rest[..identifier_length(rest)].to_owned()).collect()
}

/// `line` with each property of `object` under its new name.
fn rename_properties(line: &str, object: &str, names: &HashMap<String, String>) -> Result<String> {
    let mut parts = line.split(object);
    let mut renamed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_at(identifier_length(part));
        let Some(short) = names.get(name) else { bail!("the bindings use {object}{name}, which is no export") };
        renamed.push_str(object);
        renamed.push_str(short);
        renamed.push_str(rest);
    }
    Ok(renamed)
}

fn identifier_length(text: &str) -> usize {
    text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != '$').unwrap_or(text.len())
}

fn run(command: &mut Command) -> Result<()> {
    let name = format!("{:?}", command.get_program());
    let output = command.output().with_context(|| format!("cannot run {name}; is it installed?"))?;
    if !output.status.success() {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        bail!(
            "{name} {} failed ({}):\n{}{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

pub(crate) fn brotli_size(bytes: &[u8]) -> Result<usize> {
    let parameters = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 22, ..Default::default() };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut &bytes[..], &mut compressed, &parameters).context("cannot compress")?;
    Ok(compressed.len())
}

/// Twelve hexadecimal digits: enough to tell releases apart, and the integrity hash guards the rest.
fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// The value of an `integrity` attribute. Of the hashes that browsers take, the shortest: its digits are the one part of
/// the loader that does not compress.
fn integrity(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("sha256-");
    for group in Sha256::digest(bytes).chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, place| bits << 8 | usize::from(group.get(place).copied().unwrap_or(0)));
        let digits = [18, 12, 6, 0].map(|shift| char::from(DIGITS[bits >> shift & 63]));
        text.extend(&digits[..=group.len()]);
    }
    // 32 bytes end in a group of two.
    text.push('=');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_never_repeat() {
        let mut short = ShortNames::default();
        let names: Vec<String> = (0..800).map(|_| short.next()).collect();
        assert_eq!([&names[0], &names[25], &names[26], &names[27], &names[702]], ["a", "z", "aa", "ab", "aaa"]);
        assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), 800);
    }

    #[test]
    fn properties_are_renamed_where_they_stand() {
        let names = HashMap::from([("memory".to_owned(), "a".to_owned()), ("f_1".to_owned(), "b".to_owned())]);
        let renamed = rename_properties("wasm.f_1(wasm.memory.buffer, wasmer)", "wasm.", &names);
        assert_eq!(renamed.expect("known names"), "wasm.b(wasm.a.buffer, wasmer)");
        assert!(rename_properties("wasm.g()", "wasm.", &names).is_err());
        assert_eq!(property_names("wasm.f_1(wasm.memory.buffer)", "wasm."), ["f_1", "memory"]);
    }

    #[test]
    fn integrity_is_what_browsers_compute() {
        // The hash of nothing, as every implementation of SHA-256 gives it.
        assert_eq!(integrity(b""), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn a_budget_that_is_exceeded_is_told() {
        let asset = |brotli| Asset { name: String::new(), raw: 0, brotli, integrity: String::new() };
        let assets = |loader, core, std_for_size| TrackerAssets {
            loader: asset(loader),
            capture: asset(2_000),
            consent: asset(2_000),
            core: asset(core),
            // Not counted: a visitor never loads it.
            debugger: asset(50_000),
            std_for_size,
        };
        assert!(assets(3_584, 14_896, true).over_budget().is_empty());
        assert_eq!(assets(3_585, 0, true).over_budget(), ["t.js: 3585 bytes brotli, limit 3584"]);
        assert_eq!(
            assets(0, 18_481, true).over_budget(),
            ["the tracker's files together: 20481 bytes brotli, limit 20480"]
        );
        assert!(assets(0, 18_481, false).over_budget().is_empty());
    }
}
