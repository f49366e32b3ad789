//! Pages for when something is not there or did not work.

use crate::Rendered;
use crate::shell::{Nav, Outside, Shell};
use askama::Template;

/// Why a page cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// 404: no such page, site, person or segment; or one of another user's sites, which is not told apart.
    NotFound,
    /// 400: what was asked makes no sense; the text says what to write instead.
    BadRequest(String),
    /// 403: the form's token is not this session's.
    StaleForm,
    /// 503: the database is away.
    Unavailable,
    /// 500: our fault.
    Failure,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    title: &'static str,
    text: &'a str,
}

#[derive(Template)]
#[template(path = "problem_outside.html")]
struct ProblemOutside<'a> {
    outside: &'a Outside,
    title: &'static str,
    text: &'a str,
}

impl Problem {
    fn title(&self) -> &'static str {
        match self {
            Problem::NotFound => "Nothing is here",
            Problem::BadRequest(_) => "That cannot be shown",
            Problem::StaleForm => "This form is no longer valid",
            Problem::Unavailable => "The database cannot be reached",
            Problem::Failure => "Something went wrong",
        }
    }

    fn text(&self) -> &str {
        match self {
            Problem::NotFound => "The address leads nowhere, or to something you may not look at.",
            Problem::BadRequest(text) => text,
            Problem::StaleForm => {
                "You have logged in anew since it was opened. Go back, reload the page and send it again."
            }
            Problem::Unavailable => {
                "Events keep their place in the visitors’ browsers and arrive later. Reload this page in a moment."
            }
            Problem::Failure => "It is our fault and was written to the server’s log. Reloading may help.",
        }
    }
}

/// A problem, for somebody who is logged in.
///
/// # Errors
/// When the page cannot be written.
pub fn problem(shell: &Shell, problem: &Problem) -> Rendered {
    ProblemPage { shell, nav: Nav::Nowhere, title: problem.title(), text: problem.text() }.render()
}

/// A problem, for somebody who is not.
///
/// # Errors
/// When the page cannot be written.
pub fn problem_outside(outside: &Outside, problem: &Problem) -> Rendered {
    ProblemOutside { outside, title: problem.title(), text: problem.text() }.render()
}
