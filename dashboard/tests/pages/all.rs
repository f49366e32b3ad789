//! Every page in every state, by name.

use super::fixtures::{self as given, HOSTILE};
use dashboard::*;
use domain::report::Measure;

pub(crate) fn all() -> Vec<(&'static str, Rendered)> {
    let inside = given::shell();
    let hostile = Shell {
        user_email: HOSTILE.into(),
        sites: vec![SiteLink { id: 1, name: HOSTILE.into() }, SiteLink { id: 2, name: HOSTILE.into() }],
        site: Some(SiteLink { id: 1, name: HOSTILE.into() }),
        ..given::flashing(FlashKind::Failed, HOSTILE)
    };
    let welcome_form = |text: &str| WelcomeForm {
        email: text.into(),
        site_name: text.into(),
        domains: text.into(),
        currency: text.into(),
        time_zone: text.into(),
        consent: "full".into(),
        problems: vec![text.into()],
    };
    let login_form = |text: &str, problem| LoginForm { email: text.into(), next: text.into(), problem: Some(problem) };
    let refused = |text: &str| SetupForm {
        name: text.into(),
        domains: text.into(),
        currency: text.into(),
        time_zone: text.into(),
        consent: text.into(),
        browser_orders: text.into(),
        problems: vec![text.into()],
    };
    let now = given::now();
    vec![
        ("welcome", welcome(&given::outside(), &WelcomeForm::default())),
        ("welcome_hostile", welcome(&given::outside(), &welcome_form(HOSTILE))),
        ("login", login(&given::outside(), &LoginForm::default())),
        ("login_wrong", login(&given::outside(), &login_form("mia@example.com", LoginProblem::Wrong))),
        (
            "login_throttled",
            login(&given::outside(), &login_form(HOSTILE, LoginProblem::Throttled { retry_after_seconds: 840 })),
        ),
        ("overview", overview(&inside, &given::overview(), Measure::Revenue, None)),
        (
            "overview_empty",
            overview(&inside, &given::overview_empty(), Measure::Visitors, Some(&given::setup_waiting())),
        ),
        (
            "overview_hostile",
            overview(&hostile, &given::overview_hostile(), Measure::Orders, Some(&given::setup_hostile())),
        ),
        ("live", live(&inside, &given::live())),
        ("live_empty", live(&inside, &given::live_empty())),
        ("live_hostile", live(&hostile, &given::live_hostile())),
        ("live_fragment", live_fragment(&given::live())),
        ("live_fragment_hostile", live_fragment(&given::live_hostile())),
        ("segments", segments(&inside, &given::segments())),
        ("segments_empty", segments(&inside, &given::segments_empty())),
        ("segments_without_orders", segments(&inside, &given::segments_without_orders())),
        ("members", members(&inside, &given::members())),
        ("members_hostile", members(&hostile, &given::members_hostile())),
        ("people", people(&inside, &given::people(), Some("Newsletter"), now)),
        ("people_none", people(&inside, &given::people_none(), None, now)),
        ("people_hostile", people(&hostile, &given::people_hostile(), Some(HOSTILE), now)),
        ("profile", profile(&inside, &given::profile())),
        ("profile_anonymous", profile(&inside, &given::profile_anonymous())),
        ("profile_hostile", profile(&hostile, &given::profile_hostile())),
        (
            "setup",
            setup(
                &given::flashing(FlashKind::Done, "The settings are saved."),
                &given::setup(),
                &SetupForm::of(&given::setup()),
                None,
            ),
        ),
        (
            "setup_secret",
            setup(
                &inside,
                &given::setup_waiting(),
                &SetupForm::of(&given::setup_waiting()),
                Some("sk_9a1c77e0d2b84f5f9a1c77e0d2b84f5f"),
            ),
        ),
        ("setup_hostile", setup(&hostile, &given::setup_hostile(), &refused(HOSTILE), Some(HOSTILE))),
        ("setup_state", setup_state(&given::setup())),
        ("definitions", definitions(&Shell { site: None, ..given::shell() })),
        ("not_found", problem(&inside, &Problem::NotFound)),
        ("bad_request", problem(&hostile, &Problem::BadRequest(HOSTILE.into()))),
        ("unavailable", problem_outside(&given::outside(), &Problem::Unavailable)),
    ]
}
