//! Pages for those who are not logged in: the first run, and the log-in.

use crate::shell::Outside;
use crate::{Rendered, setup};
use askama::Template;
use domain::report::TagConsent;

/// What stands in the first-run form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WelcomeForm {
    /// E-mail address of the first user.
    pub email: String,
    /// The first site's name.
    pub site_name: String,
    /// Its hosts, one a line.
    pub domains: String,
    /// ISO 4217 code.
    pub currency: String,
    /// IANA name; empty lets the browser propose its own.
    pub time_zone: String,
    /// [`TagConsent::key`]; anything else means `measure`.
    pub consent: String,
    /// Why it was not done, one sentence per problem.
    pub problems: Vec<String>,
}

/// Why nobody was logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginProblem {
    /// E-mail address or password is wrong; which of them is not said.
    Wrong,
    /// Too many failures: tries count again after so many seconds.
    Throttled {
        /// Seconds to wait.
        retry_after_seconds: u64,
    },
    /// The form was opened too long ago, or in another browser.
    Stale,
}

/// What stands in the log-in form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginForm {
    /// E-mail address.
    pub email: String,
    /// Where to go afterwards: a path of this site, already checked by the caller.
    pub next: String,
    /// Why the last try failed.
    pub problem: Option<LoginProblem>,
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomePage<'a> {
    outside: &'a Outside,
    form: &'a WelcomeForm,
    zones: Vec<String>,
    full: bool,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    outside: &'a Outside,
    form: &'a LoginForm,
    problem: Option<String>,
}

/// The first-run page: makes the first user and the first site.
///
/// # Errors
/// When the page cannot be written.
pub fn welcome(outside: &Outside, form: &WelcomeForm) -> Rendered {
    let full = TagConsent::from_key(&form.consent) == Some(TagConsent::Full);
    WelcomePage { outside, form, zones: setup::time_zones(), full }.render()
}

/// The log-in page.
///
/// # Errors
/// When the page cannot be written.
pub fn login(outside: &Outside, form: &LoginForm) -> Rendered {
    let problem = form.problem.map(|problem| match problem {
        LoginProblem::Wrong => "This e-mail address and this password do not belong together.".to_owned(),
        LoginProblem::Throttled { retry_after_seconds: seconds } => {
            let wait = match seconds.div_ceil(60) {
                0 | 1 => "a minute".to_owned(),
                minutes => format!("{minutes} minutes"),
            };
            format!("Too many tries. Wait {wait}, then try again; the password may have been right.")
        }
        LoginProblem::Stale => "This form was open for too long. Please log in once more.".to_owned(),
    });
    LoginPage { outside, form, problem }.render()
}
