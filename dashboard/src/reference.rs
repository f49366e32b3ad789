//! What the numbers mean.

use crate::Rendered;
use crate::shell::{Nav, Shell};
use askama::Template;

#[derive(Template)]
#[template(path = "definitions.html")]
struct DefinitionsPage<'a> {
    shell: &'a Shell,
    nav: Nav,
}

/// The definitions, each under the anchor that numbers link to.
///
/// # Errors
/// When the page cannot be written.
pub fn definitions(shell: &Shell) -> Rendered {
    DefinitionsPage { shell, nav: Nav::Definitions }.render()
}
