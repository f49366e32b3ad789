//! Writes every page in every state into a folder, to be looked at without a server:
//! `cargo run -p dashboard --example gallery -- FOLDER`.

#[path = "../tests/pages/acquisition.rs"]
mod acquisition;
#[path = "../tests/pages/all.rs"]
mod all;
#[path = "../tests/pages/experience.rs"]
mod experience;
#[path = "../tests/pages/fixtures.rs"]
mod fixtures;
#[path = "../tests/pages/imports.rs"]
mod imports;
#[path = "../tests/pages/insight.rs"]
mod insight;
#[path = "../tests/pages/joins.rs"]
mod joins;
#[path = "../tests/pages/matches.rs"]
mod matches;
#[path = "../tests/pages/plan.rs"]
mod plan;
#[path = "../tests/pages/sources.rs"]
mod sources;
#[path = "../tests/pages/traits.rs"]
mod traits;

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("name the folder to write to")?;
    std::fs::create_dir_all(&folder)?;
    for (name, page) in all::all() {
        std::fs::write(folder.join(format!("{name}.html")), page?)?;
    }
    Ok(())
}
