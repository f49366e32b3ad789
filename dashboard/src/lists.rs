//! The page on which a list's people are written.

use crate::Rendered;
use crate::format;
use crate::shell::{Nav, Shell};
use askama::Template;
use domain::report::Listed;

/// A list as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListForm {
    /// The name of a new one.
    pub name: String,
    /// Identifiers, one in each line, or a file with a header.
    pub people: String,
    /// What becomes of those who are in it: `add`, `remove` or `replace`.
    pub mode: String,
    /// Why it was not done.
    pub problem: Option<String>,
}

#[derive(Template)]
#[template(path = "list_form.html")]
struct ListPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    form: &'a ListForm,
    title: String,
    /// Key and name of a list that is there.
    list: Option<(&'a str, &'a str)>,
    segments: String,
    back: String,
    back_name: &'a str,
    done: Option<DoneView<'a>>,
}

struct DoneView<'a> {
    text: String,
    unknown: &'a [String],
    more: u64,
}

fn done(listed: &Listed) -> DoneView<'_> {
    let people = |count: u64| format::counted(&count, "identifier", "identifiers");
    let text = match (listed.added, listed.removed) {
        (0, 0) => "Nothing has changed.".to_owned(),
        (added, 0) => format!("{} came into the list.", people(added)),
        (0, removed) => format!("{} left the list.", people(removed)),
        (added, removed) => format!("{} came into the list and {} left it.", people(added), people(removed)),
    };
    let more = listed.unknown.saturating_sub(listed.first_unknown.len() as u64);
    DoneView { text, unknown: &listed.first_unknown, more }
}

/// The form of a list; `list` is its key and name where it is there already, `listed` what has just come of it.
///
/// # Errors
/// When the page cannot be written.
pub fn list_form(
    shell: &Shell,
    site: i32,
    list: Option<(&str, &str)>,
    form: &ListForm,
    listed: Option<&Listed>,
) -> Rendered {
    let segments = format!("/s/{site}/segments");
    ListPage {
        shell,
        nav: Nav::Segments,
        form,
        title: list.map_or_else(|| "New list".to_owned(), |(_, name)| format!("Who is in {name}")),
        list,
        back: list.map_or_else(|| segments.clone(), |(key, _)| format!("{segments}/{key}")),
        back_name: list.map_or("Segments", |(_, name)| name),
        segments,
        done: listed.map(done),
    }
    .render()
}
