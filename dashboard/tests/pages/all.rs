//! Every page in every state, by name.

use super::acquisition as acquired;
use super::experience as felt;
use super::fixtures::{self as given, HOSTILE};
use super::imports as files;
use super::insight as special;
use super::joins as joined;
use super::matches as alike;
use super::plan as agreed;
use super::sources as told;

use super::traits as computed;
use dashboard::*;
use domain::report::{
    HookSecret, ImportState, Listed, MatchState, Measure, NoPast, Preview, Progress, Segments, SegmentsInUse, Tried,
    TriedTrait,
};
use domain::segment::rule::Rule;

/// Two lines of which the second goes wrong.
const FAULTY: &str = "viewed \"/pricing\" at least 3 times within 14 days\nand never orderd";

fn grids(report: Segments, list: SegmentsInUse, problem: Option<&str>) -> Rendered {
    let cuts = CutsForm { problem: problem.map(str::to_owned), ..CutsForm::of(&report) };
    segments(&given::shell(), &report, &list, &cuts)
}

/// What webhooks can be connected.
const VENDORS: &[(&str, &str)] = &[("shopify", "Shopify"), ("stripe", "Stripe")];
/// What can be asked.
const ASKED: &[(&str, &str)] = &[("search-console", "Google Search Console")];

fn source_form(text: &str) -> SourceForm {
    SourceForm {
        kind: "stripe".into(),
        name: text.into(),
        namespace: text.into(),
        order_numbers: true,
        account: text.into(),
        problem: Some(text.into()),
    }
}

fn tried(text: &str) -> SourceNotes {
    SourceNotes { trial: Some(told::trial(text)), problem: Some(text.into()) }
}

fn form(says: &str) -> SegmentForm {
    SegmentForm {
        name: "Keen on pricing".into(),
        description: "Looked at the prices.".into(),
        action: "Offer a call.".into(),
        says: says.into(),
        problems: Vec::new(),
    }
}

fn change(name: &str, from_library: bool, is_list: bool) -> Writing {
    Writing::Change { key: "keen-on-pricing".into(), name: name.into(), from_library, is_list }
}

fn written(shell: &Shell, writing: Writing, form: SegmentForm, tried: Tried) -> Rendered {
    segment_form(shell, 1, &writing, &form, &tried, &given::known_words())
}

fn trait_form_of(says: &str, problem: Option<&str>) -> TraitForm {
    TraitForm {
        name: "favourite_category".into(),
        description: "What to show first.".into(),
        says: says.into(),
        problems: problem.map(str::to_owned).into_iter().collect(),
    }
}

fn try_rule(says: &str) -> Tried {
    Tried::Unreadable(says.parse::<Rule>().expect_err("no rule"))
}

fn holds(preview: Preview) -> Tried {
    Tried::Holds { says: "signed up".into(), preview }
}

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
        bots: text.into(),
        bot_limit: text.into(),
        problems: vec![text.into()],
    };
    let now = given::now();
    let faulty = try_rule(FAULTY);
    let exact = Preview { people: 300, asked: 300, found: 12, unheard: Vec::new(), ..given::preview() };
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
        ("acquisition", acquisition(&inside, &acquired::acquisition())),
        ("acquisition_empty", acquisition(&inside, &acquired::empty())),
        ("acquisition_hostile", acquisition(&hostile, &acquired::hostile())),
        ("experience", experience(&inside, &felt::experience())),
        ("experience_empty", experience(&inside, &felt::empty())),
        ("experience_none_on_tablets", experience(&inside, &felt::none_on_tablets())),
        ("experience_hostile", experience(&hostile, &felt::hostile())),
        ("live", live(&inside, &given::live())),
        ("live_empty", live(&inside, &given::live_empty())),
        ("live_hostile", live(&hostile, &given::live_hostile())),
        ("live_fragment", live_fragment(&given::live())),
        ("live_fragment_hostile", live_fragment(&given::live_hostile())),
        ("segments", grids(given::segments(), given::in_use(), None)),
        ("segments_computed", grids(given::segments(), given::in_use_computed(), None)),
        ("segments_searched", grids(given::segments_own_cuts(), given::in_use_searched(), None)),
        ("segments_bad_cuts", grids(given::segments_own_cuts(), given::in_use(), Some("Orders: 3 follows 5."))),
        ("segments_empty", grids(given::segments_empty(), given::in_use_empty(), None)),
        ("segments_without_orders", grids(given::segments_without_orders(), given::in_use_not_found(), None)),
        ("segments_hostile", grids(given::segments(), given::in_use_hostile(), Some(HOSTILE))),
        ("segments_in_use", segments_in_use(&given::in_use_searched())),
        ("segments_progress", segments_progress(1, None, Some(Progress { asked: 12_500, people: 48_112 }))),
        ("segments_progress_over", segments_progress(1, Some("keen-on-pricing"), None)),
        ("segments_archived", segments_archived(&inside, &given::archived())),
        ("segments_archived_none", segments_archived(&inside, &given::archived_none())),
        ("segment", segment(&inside, &given::segment_report())),
        ("segment_list", segment(&inside, &given::segment_list())),
        ("segment_computed", segment(&inside, &given::segment_computed())),
        ("segment_hostile", segment(&hostile, &given::segment_hostile())),
        ("insight", insight(&inside, &special::whole())),
        ("insight_empty", insight(&inside, &special::empty())),
        ("insight_reading", insight(&inside, &special::reading())),
        ("insight_away", insight(&inside, &special::away())),
        ("list_new", list_form(&inside, 1, None, &ListForm::default(), None)),
        (
            "list_done",
            list_form(
                &inside,
                1,
                Some(("friends", "Friends")),
                &ListForm::default(),
                Some(&Listed { added: 2, removed: 1, unknown: 4, first_unknown: vec!["x".into(), HOSTILE.into()] }),
            ),
        ),
        (
            "list_hostile",
            list_form(
                &hostile,
                1,
                Some(("friends", HOSTILE)),
                &ListForm {
                    name: HOSTILE.into(),
                    people: HOSTILE.into(),
                    mode: HOSTILE.into(),
                    problem: Some(HOSTILE.into()),
                },
                None,
            ),
        ),
        ("past", past(&inside, &special::past(), "2026-07-30")),
        ("past_list", past(&inside, &special::no_past(NoPast::List), "")),
        ("past_away", past(&inside, &special::no_past(NoPast::Away), "")),
        ("past_reading", past(&inside, &special::no_past(NoPast::Reading(Progress { asked: 0, people: 0 })), "")),
        ("past_hostile", past(&hostile, &special::past_hostile(), HOSTILE)),
        ("insight_hostile", insight(&hostile, &special::hostile())),
        ("segment_new", written(&inside, Writing::New, SegmentForm::default(), Tried::Nothing)),
        ("segment_new_copy", written(&inside, Writing::New, form("orders is at least 2"), Tried::Nothing)),
        ("segment_new_fault", written(&inside, Writing::New, form(FAULTY), faulty.clone())),
        (
            "segment_edit",
            written(&inside, change("Keen on pricing", true, false), form("signed up"), holds(given::preview())),
        ),
        ("segment_edit_list", written(&inside, change("Friends", false, true), form(""), Tried::Nothing)),
        (
            "segment_edit_hostile",
            written(
                &hostile,
                change(HOSTILE, false, false),
                SegmentForm {
                    name: HOSTILE.into(),
                    description: HOSTILE.into(),
                    action: HOSTILE.into(),
                    says: HOSTILE.into(),
                    problems: vec![HOSTILE.into()],
                },
                Tried::Refused(HOSTILE.into()),
            ),
        ),
        ("segment_preview", segment_preview(1, "signed up", &holds(given::preview()))),
        ("segment_preview_exact", segment_preview(1, "signed up", &holds(exact.clone()))),
        (
            "segment_preview_nobody",
            segment_preview(1, "signed up", &holds(Preview { found: 0, sample: Vec::new(), ..exact })),
        ),
        ("segment_preview_fault", segment_preview(1, FAULTY, &faulty)),
        ("segment_preview_hostile", segment_preview(1, HOSTILE, &try_rule(HOSTILE))),
        ("segment_preview_nothing", segment_preview(1, "", &Tried::Nothing)),
        ("members", members(&inside, &given::members())),
        ("members_hostile", members(&hostile, &given::members_hostile())),
        ("predictions", predictions(&inside, &given::predictions())),
        ("predictions_few", predictions(&inside, &given::predictions_few())),
        ("predictions_proposal", predictions(&inside, &given::predictions_proposal())),
        ("predictions_hostile", predictions(&hostile, &given::predictions_hostile())),
        ("predictions_none", predictions(&inside, &given::predictions_none(0))),
        ("predictions_not_made", predictions(&inside, &given::predictions_none(31))),
        ("predictions_due", predictions_due(1, true)),
        ("predictions_made", predictions_due(1, false)),
        ("people", people(&inside, &given::people(), Some("Newsletter"), now)),
        ("people_none", people(&inside, &given::people_none(), None, now)),
        ("people_hostile", people(&hostile, &given::people_hostile(), Some(HOSTILE), now)),
        ("sources", sources(&inside, &told::book(), (VENDORS, ASKED), &SourceForm::default())),
        ("sources_empty", sources(&inside, &told::empty(), (VENDORS, ASKED), &SourceForm::default())),
        ("sources_hostile", sources(&hostile, &told::book_hostile(), (VENDORS, ASKED), &source_form(HOSTILE))),
        ("source_connector", source(&inside, &told::connector("asked too often"), &SourceNotes::default())),
        ("source_connector_hostile", source(&hostile, &told::connector(HOSTILE), &SourceNotes::default())),
        ("source_tracker", source(&inside, &told::tracker(), &SourceNotes::default())),
        ("source_waiting", source(&inside, &told::waiting(), &SourceNotes::default())),
        ("source_hook", source(&inside, &told::shopify(HookSecret::Kept), &SourceNotes::default())),
        ("source_without_secret", source(&inside, &told::shopify(HookSecret::Missing), &SourceNotes::default())),
        ("source_tried", source(&inside, &told::shopify(HookSecret::Kept), &tried("Order Completed"))),
        ("source_hostile", source(&hostile, &told::hostile(), &tried(HOSTILE))),
        ("source_arrivals", source_arrivals(&told::tracker())),
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
        ("imports", imports(&inside, &files::list(), None)),
        ("imports_empty", imports(&inside, &files::list_empty(), Some("The file is empty."))),
        ("imports_hostile", imports(&hostile, &files::list_hostile(), Some(HOSTILE))),
        ("import_ready", import(&inside, &files::report(ImportState::Ready), Some(&files::preview()), None)),
        ("import_wrong", import(&inside, &files::report(ImportState::Ready), Some(&files::preview_wrong()), None)),
        ("import_hostile", import(&hostile, &files::report_hostile(), Some(&files::preview_hostile()), Some(HOSTILE))),
        ("import_running", import(&inside, &files::report(ImportState::Running), None, None)),
        ("import_paused", import(&inside, &files::report(ImportState::Paused), None, None)),
        ("import_done", import(&inside, &files::report(ImportState::Done), None, None)),
        ("import_failed", import(&inside, &files::report(ImportState::Failed), None, None)),
        ("import_progress", import_progress(&files::report(ImportState::Running))),
        ("import_progress_over", import_progress(&files::report(ImportState::Done))),
        ("joins", joins(&inside, &joined::joins())),
        ("joins_hostile", joins(&hostile, &joined::joins_hostile())),
        ("identities", identities(&inside, &joined::identities())),
        ("identities_empty", identities(&inside, &joined::identities_empty())),
        ("traits", traits(&inside, &computed::traits())),
        ("traits_empty", traits(&inside, &computed::traits_empty())),
        ("traits_computed", traits(&inside, &computed::traits_computed())),
        ("traits_hostile", traits(&hostile, &computed::traits_hostile())),
        ("traits_progress", traits_progress(1, Some(Progress { asked: 12_500, people: 48_112 }))),
        ("traits_progress_over", traits_progress(1, None)),
        (
            "trait_new",
            trait_form(
                &inside,
                &computed::traits_empty(),
                None,
                &TraitForm::default(),
                &TriedTrait::Nothing,
                &given::known_words(),
            ),
        ),
        (
            "trait_new_fault",
            trait_form(
                &inside,
                &computed::traits(),
                None,
                &trait_form_of("number of ordrs", None),
                &computed::faulty("number of ordrs"),
                &given::known_words(),
            ),
        ),
        (
            "trait_edit",
            trait_form(
                &inside,
                &computed::traits(),
                Some(&computed::traits().rows[0]),
                &trait_form_of(r#"most frequent "category" of "Product Viewed""#, None),
                &computed::preview("shoes"),
                &given::known_words(),
            ),
        ),
        (
            "trait_edit_hostile",
            trait_form(
                &hostile,
                &computed::traits_hostile(),
                Some(&computed::traits_hostile().rows[1]),
                &TraitForm {
                    name: HOSTILE.into(),
                    description: HOSTILE.into(),
                    ..trait_form_of(HOSTILE, Some(HOSTILE))
                },
                &computed::preview(HOSTILE),
                &given::known_words(),
            ),
        ),
        ("trait_preview", trait_preview(&computed::traits().site, now, "", &computed::preview("shoes"))),
        ("trait_preview_nobody", trait_preview(&computed::traits().site, now, "", &computed::nobody())),
        ("trait_preview_hostile", trait_preview(&computed::traits().site, now, HOSTILE, &computed::faulty(HOSTILE))),
        ("trait_preview_nothing", trait_preview(&computed::traits().site, now, "", &TriedTrait::Nothing)),
        ("matches", matches(&inside, &alike::matches())),
        ("matches_joined", matches(&inside, &alike::matches_decided(MatchState::Confirmed))),
        ("matches_refused", matches(&inside, &alike::matches_decided(MatchState::Refused))),
        ("matches_empty", matches(&inside, &alike::matches_empty(true))),
        ("matches_not_compared", matches(&inside, &alike::matches_empty(false))),
        ("matches_hostile", matches(&hostile, &alike::matches_hostile())),
        ("plan", plan(&inside, &agreed::plan())),
        ("plan_empty", plan(&inside, &agreed::plan_empty())),
        ("plan_hostile", plan(&hostile, &agreed::plan_hostile())),
        ("plan_event", plan_event(&inside, &agreed::event(), &PlanForm::of(&agreed::event()))),
        (
            "plan_event_unpinned",
            plan_event(&inside, &agreed::event_unpinned(), &PlanForm::of(&agreed::event_unpinned())),
        ),
        ("plan_event_bare", plan_event(&inside, &agreed::event_bare(), &PlanForm::default())),
        (
            "plan_event_hostile",
            plan_event(
                &hostile,
                &agreed::event_hostile(),
                &PlanForm { plan: HOSTILE.into(), problem: Some(HOSTILE.into()) },
            ),
        ),
        ("definitions", definitions(&Shell { site: None, ..given::shell() })),
        ("not_found", problem(&inside, &Problem::NotFound)),
        ("bad_request", problem(&hostile, &Problem::BadRequest(HOSTILE.into()))),
        ("unavailable", problem_outside(&given::outside(), &Problem::Unavailable)),
    ]
}
