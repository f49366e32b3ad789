//! The segments: those of a day, those that keep themselves, one with its people, and the form in which they are written.

use super::{Inside, PER_PAGE, PageError, Reply, inside, page_number, posted, query, sensible};
use crate::http::State;
use crate::http::auth::{Fields, field};
use crate::segments;
use crate::store::membership::read_sweep;
use crate::store::reports::sentence;
use crate::store::segments::{Draft, Kind, Segment, SegmentError};
use crate::store::sites::Site;
use crate::store::{Store, StoreError};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use dashboard::{CutsForm, SegmentForm, Writing};
use domain::event::ProfileId;
use domain::money::Money;
use domain::report::{ArchivedSegments, Members, NoPast, SegmentInsight, SegmentPast, SegmentsInUse, Tried};
use domain::segment::SegmentKey;
use domain::segment::rfm::{Cuts, Thresholds};
use domain::segment::rule::{Rule, RuleError};
use jiff::ToSpan;
use jiff::civil::Date;
use std::collections::HashMap;

/// Characters of a search that are looked at.
const SEARCH_CHARS: usize = 100;
/// Characters of a field that an address fills in: links of ours are far shorter.
const OFFERED_CHARS: usize = 1_000;
/// A form with the longest rule that can be read is smaller.
const MAX_FORM: usize = 256 * 1024;

/// Ends of months that a segment's past is told of.
const PAST_MONTHS: i32 = 12;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let at = |path: &str| web::resource(format!("/s/{{site:\\d{{1,9}}}}/segments{path}"));
    let form = || web::FormConfig::default().limit(MAX_FORM);
    config
        .service(at("").route(web::get().to(list)))
        .service(at(".csv").route(web::get().to(list_file)))
        .service(at("/in-use").route(web::get().to(in_use)))
        .service(at("/in-use.csv").route(web::get().to(in_use_file)))
        .service(at("/progress").route(web::get().to(progress)))
        .service(at("/curves.csv").route(web::get().to(curves_file)))
        .service(at("/archived").route(web::get().to(archived)))
        .service(at("/cuts").route(web::post().to(set_cuts)))
        .service(at("/preview").app_data(form()).route(web::post().to(preview)))
        .service(at("/new").app_data(form()).route(web::get().to(new)).route(web::post().to(add)))
        .service(at("/{key}/edit").app_data(form()).route(web::get().to(edit)).route(web::post().to(change)))
        .service(at("/{key}/archive").route(web::post().to(archive)))
        .service(at("/{key}/restore").route(web::post().to(restore)))
        .service(at("/{key}/days.csv").route(web::get().to(days_file)))
        .service(at("/{key}/insight").route(web::get().to(insight)))
        .service(at("/{key}/insight.csv").route(web::get().to(insight_file)))
        .service(at("/{key}/past").route(web::get().to(past)))
        .service(at("/{key}/past.csv").route(web::get().to(past_file)))
        .service(at("/{key}.csv").route(web::get().to(members_file)))
        .service(at("/{key}").route(web::get().to(segment)));
}

impl From<SegmentError> for PageError {
    fn from(error: SegmentError) -> PageError {
        match error {
            SegmentError::Unknown(_) => PageError::NotFound,
            SegmentError::Store(error) => PageError::Store(error),
            error @ (SegmentError::KeyTaken(_)
            | SegmentError::Key(_)
            | SegmentError::Name
            | SegmentError::NoList(_)
            | SegmentError::Rule(_)
            | SegmentError::InUse { .. }
            | SegmentError::NobodyKnown(_)
            | SegmentError::TooMany) => PageError::BadRequest(sentence(&error.to_string())),
        }
    }
}

/// A field that an address fills in, as far as it is looked at.
fn offered(query: &HashMap<String, String>, name: &str) -> String {
    given(query, name).unwrap_or_default().chars().filter(|c| *c != '\0').take(OFFERED_CHARS).collect()
}

fn given<'q>(query: &'q HashMap<String, String>, name: &str) -> Option<&'q str> {
    query.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// The day at whose end people are looked at: today, or the one that is asked for.
fn as_of(page: &Inside, query: &HashMap<String, String>) -> Result<Date, PageError> {
    let today = page.today()?;
    let Some(text) = given(query, "as_of") else { return Ok(today) };
    let day: Date =
        text.parse().map_err(|_| PageError::BadRequest(format!("`{text:.20}` is not a day; write it as {today}.")))?;
    if day > today {
        return Err(PageError::BadRequest(format!("{day} is still to come; choose {today} or a day before.")));
    }
    sensible(day)
}

/// What an address names: a segment in use as it is now, or one of the day's book.
enum Named {
    InUse(Box<Segment>),
    OfDay(SegmentKey),
}

fn named(page: &Inside, key: &str, query: &HashMap<String, String>) -> Result<Named, PageError> {
    let of_day = key.parse::<SegmentKey>().map(Named::OfDay);
    if as_of(page, query)? < page.today()? {
        return of_day.map_err(|_| PageError::NotFound);
    }
    match page.store.segment_named(page.site()?, key) {
        Ok(segment) => Ok(Named::InUse(Box::new(segment))),
        Err(SegmentError::Unknown(_)) => of_day.map_err(|_| PageError::NotFound),
        Err(error) => Err(error.into()),
    }
}

fn report(page: &Inside, query: &HashMap<String, String>) -> Result<domain::report::Segments, PageError> {
    let site = page.site()?;
    let book = segments::book(&page.store, site, as_of(page, query)?)?;
    Ok(page.store.segments(site, &book, page.today()?)?)
}

fn read_in_use(page: &Inside, query: &HashMap<String, String>) -> Result<SegmentsInUse, PageError> {
    let search = given(query, "q").map(|text| text.chars().take(SEARCH_CHARS).collect());
    Ok(page.store.in_use(page.site()?, search, page.now)?)
}

async fn list(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let query = query(&request);
    inside(&state, &request, Some(*site), move |page| {
        let (report, in_use) = (report(page, &query)?, read_in_use(page, &query)?);
        let html = dashboard::segments(&page.shell(), &report, &in_use, &CutsForm::of(&report))?;
        Ok(Reply::Page(StatusCode::OK, html))
    })
    .await
}

async fn list_file(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let query = query(&request);
    inside(&state, &request, Some(*site), move |page| {
        let report = report(page, &query)?;
        Ok(Reply::Csv { file: format!("segments-{}.csv", report.as_of), text: report.csv() })
    })
    .await
}

async fn curves_file(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let query = query(&request);
    inside(&state, &request, Some(*site), move |page| {
        let report = report(page, &query)?;
        Ok(Reply::Csv { file: format!("time-to-next-order-{}.csv", report.as_of), text: report.curves_csv() })
    })
    .await
}

async fn in_use(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let query = query(&request);
    inside(&state, &request, Some(*site), move |page| {
        Ok(Reply::Part(dashboard::segments_in_use(&read_in_use(page, &query)?)?))
    })
    .await
}

async fn in_use_file(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let query = query(&request);
    inside(&state, &request, Some(*site), move |page| {
        let file = format!("segments-in-use-{}.csv", page.today()?);
        Ok(Reply::Csv { file, text: read_in_use(page, &query)?.csv() })
    })
    .await
}

async fn progress(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let query = query(&request);
    inside(&state, &request, Some(*site), move |page| {
        let site = page.site()?;
        let key = given(&query, "key");
        let segments = match key {
            Some(key) => vec![page.store.segment_named(site, key)?],
            None => page.store.segments_in_use(site)?,
        };
        let sweep = read_sweep(&mut *page.store.lend()?, site.site_id)?;
        let progress = segments.iter().find_map(|segment| sweep.progress(segment));
        let key = segments.first().map(|segment| segment.key.as_str()).filter(|_| key.is_some());
        Ok(Reply::Part(dashboard::segments_progress(site.site_id, key, progress)?))
    })
    .await
}

async fn segment(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    let query = query(&request);
    inside(&state, &request, Some(site_id), move |page| {
        let (site, part) = (page.site()?, (page_number(&query), PER_PAGE));
        let html = match named(page, &key, &query)? {
            Named::InUse(segment) => {
                dashboard::segment(&page.shell(), &segments::live(&page.store, site, &segment, part, page.now)?)?
            }
            Named::OfDay(key) => {
                let report = segments::members(&page.store, site, key, as_of(page, &query)?, Some(part))?;
                dashboard::members(&page.shell(), &report)?
            }
        };
        Ok(Reply::Page(StatusCode::OK, html))
    })
    .await
}

async fn members_file(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    let query = query(&request);
    inside(&state, &request, Some(site_id), move |page| {
        let site = page.site()?;
        match named(page, &key, &query)? {
            Named::InUse(segment) => {
                let file = MembersFile {
                    profile_ids: page.store.segment_people(site, &segment)?,
                    store: page.store.clone(),
                    site: site.clone(),
                    now: page.now,
                    segment: *segment,
                };
                Ok(Reply::File { file: format!("{key}-{}.csv", page.today()?), rows: Box::new(file) })
            }
            Named::OfDay(key) => {
                let report = segments::members(&page.store, site, key, as_of(page, &query)?, None)?;
                Ok(Reply::Csv { file: format!("{}-{}.csv", report.segment.key, report.as_of), text: report.csv() })
            }
        }
    })
    .await
}

async fn days_file(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    inside(&state, &request, Some(site_id), move |page| {
        let site = page.site()?;
        let segment = page.store.segment_named(site, &key)?;
        let report = segments::live(&page.store, site, &segment, (1, 1), page.now)?;
        Ok(Reply::Csv { file: format!("{key}-days-{}.csv", page.today()?), text: report.days_csv() })
    })
    .await
}

/// A file of what is not known yet would be taken for one of nobody.
fn not_read() -> PageError {
    PageError::Store(StoreError::Away("the site is not in memory (yet)".to_owned()))
}

fn read_insight(page: &Inside, key: &str) -> Result<SegmentInsight, PageError> {
    let site = page.site()?;
    let segment = page.store.segment_named(site, key)?;
    Ok(crate::insight::insight(&page.store, page.analysis.as_ref(), site, &segment, page.now)?)
}

async fn insight(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    inside(&state, &request, Some(site_id), move |page| {
        Ok(Reply::Page(StatusCode::OK, dashboard::insight(&page.shell(), &read_insight(page, &key)?)?))
    })
    .await
}

async fn insight_file(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    inside(&state, &request, Some(site_id), move |page| {
        let insight = read_insight(page, &key)?;
        if insight.compared.is_err() {
            return Err(not_read());
        }
        Ok(Reply::Csv { file: format!("{key}-insight-{}.csv", page.today()?), text: insight.csv() })
    })
    .await
}

/// The ends of the last months, and a day of one's own.
fn read_past(page: &Inside, key: &str, query: &HashMap<String, String>) -> Result<SegmentPast, PageError> {
    let (site, today) = (page.site()?, page.today()?);
    let segment = page.store.segment_named(site, key)?;
    let first = today.first_of_month();
    let mut days: Vec<Date> =
        (0..PAST_MONTHS).rev().map(|before| first.saturating_sub(before.months()).saturating_sub(1.day())).collect();
    if given(query, "day").is_some() {
        days.push(as_of(page, &HashMap::from([("as_of".to_owned(), field(query, "day"))]))?);
        days.sort_unstable();
        days.dedup();
    }
    days.retain(|day| *day < today);
    Ok(crate::insight::past(&page.store, page.analysis.as_ref(), site, &segment, &days, page.now)?)
}

async fn past(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    let query = query(&request);
    inside(&state, &request, Some(site_id), move |page| {
        let past = read_past(page, &key, &query)?;
        Ok(Reply::Page(StatusCode::OK, dashboard::past(&page.shell(), &past, &field(&query, "day"))?))
    })
    .await
}

async fn past_file(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    let query = query(&request);
    inside(&state, &request, Some(site_id), move |page| {
        let past = read_past(page, &key, &query)?;
        match &past.days {
            Ok(_) => Ok(Reply::Csv { file: format!("{key}-past-{}.csv", page.today()?), text: past.csv() }),
            Err(NoPast::Reading(_) | NoPast::Away) => Err(not_read()),
            Err(NoPast::List) => Err(PageError::NotFound),
            Err(NoPast::Refused(why)) => Err(PageError::BadRequest(why.clone())),
        }
    })
    .await
}

/// The people of a segment that keeps itself, as a file that is read while it is sent.
struct MembersFile {
    store: Store,
    site: Site,
    segment: Segment,
    now: jiff::Timestamp,
    profile_ids: Vec<ProfileId>,
}

impl super::Rows for MembersFile {
    fn len(&self) -> usize {
        self.profile_ids.len()
    }

    fn part(&self, range: std::ops::Range<usize>) -> Result<String, StoreError> {
        let rows = segments::live_rows(&self.store, &self.site, &self.segment, &self.profile_ids[range], self.now)?;
        Ok(Members::csv_of(&segments::report_site(&self.site), &self.segment.key, segments::today(&self.site), &rows))
    }
}

async fn archived(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    inside(&state, &request, Some(*site), |page| {
        let site = page.site()?;
        let rows = page.store.segments_archived(site)?;
        let report = ArchivedSegments { site: segments::report_site(site), now: page.now, rows };
        Ok(Reply::Page(StatusCode::OK, dashboard::segments_archived(&page.shell(), &report)?))
    })
    .await
}

async fn archive(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<(i32, String)>,
    form: Fields,
) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    posted(&state, &request, Some(site_id), form, move |page, _| {
        page.store.archive_segment(page.site()?, &key)?;
        Ok(Reply::To(format!("/s/{site_id}/segments/archived")))
    })
    .await
}

async fn restore(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<(i32, String)>,
    form: Fields,
) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    posted(&state, &request, Some(site_id), form, move |page, _| {
        let site = page.site()?;
        if !page.store.segments_archived(site)?.iter().any(|segment| segment.key == key) {
            return Err(PageError::NotFound);
        }
        let segment = page.store.restore_segment(site, &key)?;
        Ok(Reply::To(format!("/s/{site_id}/segments/{}", segment.key)))
    })
    .await
}

/// The form as it was sent.
fn typed(form: &HashMap<String, String>) -> SegmentForm {
    // What the database cannot store is nothing that anybody types.
    let text = |name| field(form, name).replace('\0', "");
    SegmentForm {
        name: text("name"),
        description: text("description"),
        action: text("action"),
        // As it was typed, but for the line ends: the places of mistakes are counted in what is shown again.
        says: text("says").replace("\r\n", "\n"),
        problems: Vec::new(),
    }
}

/// The form as a segment fills it.
fn form_of(segment: &Segment) -> SegmentForm {
    SegmentForm {
        name: segment.name.clone(),
        description: segment.description.clone(),
        action: segment.action.clone(),
        says: segment.rule().map(Rule::in_lines).unwrap_or_default(),
        problems: Vec::new(),
    }
}

fn writing(segment: &Segment) -> Writing {
    Writing::Change {
        key: segment.key.clone(),
        name: segment.name.clone(),
        from_library: segment.from_library,
        is_list: segment.kind == Kind::List,
    }
}

/// Reads a sentence and asks whom it holds of.
fn try_rule(page: &Inside, says: &str) -> Result<Tried, PageError> {
    if says.trim().is_empty() {
        return Ok(Tried::Nothing);
    }
    let site = page.site()?;
    let rule: Rule = match says.parse() {
        Ok(rule) => rule,
        Err(error) => return Ok(Tried::Unreadable(error)),
    };
    let known = page.store.segments_in_use(site)?;
    if let Err(RuleError { message, .. }) = rule.knows(|key| known.iter().any(|segment| segment.key == key)) {
        return Ok(Tried::Refused(message));
    }
    Ok(Tried::Holds {
        preview: segments::preview(&page.store, page.analysis.as_ref(), site, &rule)?,
        says: rule.in_lines(),
    })
}

fn show_form(
    page: &Inside,
    status: StatusCode,
    writing: &Writing,
    form: &SegmentForm,
    tried: &Tried,
) -> Result<Reply, PageError> {
    let site = page.site()?;
    let known = page.store.known_words(site)?;
    let html = dashboard::segment_form(&page.shell(), site.site_id, writing, form, tried, &known)?;
    Ok(Reply::Page(status, html))
}

async fn preview(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>, form: Fields) -> HttpResponse {
    posted(&state, &request, Some(*site), form, move |page, form| {
        let typed = typed(form);
        let tried = try_rule(page, &typed.says)?;
        Ok(Reply::Part(dashboard::segment_preview(page.site()?.site_id, &typed.says, &tried)?))
    })
    .await
}

async fn new(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let query = query(&request);
    inside(&state, &request, Some(*site), move |page| {
        let form = match given(&query, "from") {
            Some(key) => {
                let form = form_of(&page.store.segment_named(page.site()?, key)?);
                SegmentForm { name: format!("{} (copy)", form.name), ..form }
            }
            // A page that knows of a group of people offers the rule for them.
            None => {
                SegmentForm { name: offered(&query, "name"), says: offered(&query, "says"), ..SegmentForm::default() }
            }
        };
        show_form(page, StatusCode::OK, &Writing::New, &form, &Tried::Nothing)
    })
    .await
}

async fn edit(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    inside(&state, &request, Some(site_id), move |page| {
        let segment = page.store.segment_named(page.site()?, &key)?;
        show_form(page, StatusCode::OK, &writing(&segment), &form_of(&segment), &Tried::Nothing)
    })
    .await
}

/// Saves what was sent, or shows it again with what is wrong.
fn save(
    page: &Inside,
    form: &HashMap<String, String>,
    writing: &Writing,
    store: impl FnOnce(&Draft) -> Result<Segment, SegmentError>,
) -> Result<Reply, PageError> {
    let mut typed = typed(form);
    let is_list = matches!(writing, Writing::Change { is_list: true, .. });
    if field(form, "do") == "preview" {
        return show_form(page, StatusCode::OK, writing, &typed, &try_rule(page, &typed.says)?);
    }
    let kind = if is_list { Ok(Kind::List) } else { typed.says.parse().map(Kind::Rule) };
    let saved = match kind {
        Err(error) => Err((Tried::Unreadable(error), "The rule cannot be read; see below.".to_owned())),
        Ok(kind) => {
            let (name, description, action) = (typed.name.clone(), typed.description.clone(), typed.action.clone());
            match store(&Draft { name, description, action, kind }) {
                Ok(segment) => Ok(segment),
                Err(SegmentError::Rule(RuleError { message, .. })) => {
                    Err((Tried::Refused(message.clone()), sentence(&message)))
                }
                Err(
                    error @ (SegmentError::Name
                    | SegmentError::TooMany
                    | SegmentError::Key(_)
                    | SegmentError::KeyTaken(_)
                    | SegmentError::NoList(_)
                    | SegmentError::NobodyKnown(_)
                    | SegmentError::InUse { .. }),
                ) => Err((Tried::Nothing, sentence(&error.to_string()))),
                Err(error @ (SegmentError::Unknown(_) | SegmentError::Store(_))) => return Err(error.into()),
            }
        }
    };
    match saved {
        Ok(segment) => Ok(Reply::To(format!("/s/{}/segments/{}", page.site()?.site_id, segment.key))),
        Err((tried, problem)) => {
            typed.problems.push(problem);
            show_form(page, StatusCode::UNPROCESSABLE_ENTITY, writing, &typed, &tried)
        }
    }
}

async fn add(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>, form: Fields) -> HttpResponse {
    posted(&state, &request, Some(*site), form, move |page, form| {
        let site = page.site()?;
        save(page, form, &Writing::New, |draft| page.store.add_segment(site, None, draft))
    })
    .await
}

async fn change(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<(i32, String)>,
    form: Fields,
) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    posted(&state, &request, Some(site_id), form, move |page, form| {
        let site = page.site()?;
        let segment = page.store.segment_named(site, &key)?;
        save(page, form, &writing(&segment), |draft| page.store.change_segment(site, &key, draft))
    })
    .await
}

/// Reads the site's own thresholds as they were typed.
fn read_cuts(site: &Site, form: &CutsForm) -> Result<Cuts, String> {
    let whole = |text: &String| {
        text.trim().parse().map_err(|_| format!("`{text:.20}` is no whole number; write it in digits."))
    };
    let money = |text: &String| match Money::parse(text, site.currency) {
        Ok(money) => Ok(money.minor),
        Err(error) => Err(format!("`{text:.20}`: {error}.")),
    };
    fn four<T>(texts: &[String; 4], read: impl Fn(&String) -> Result<T, String>) -> Result<[T; 4], String> {
        let [a, b, c, d] = texts;
        Ok([read(a)?, read(b)?, read(c)?, read(d)?])
    }
    let [recency_days, orders, spent] = &form.thresholds;
    let thresholds = Thresholds {
        recency_days: four(recency_days, whole)?,
        orders: four(orders, whole)?,
        spent_minor: four(spent, money)?,
    };
    Cuts::new(thresholds).map_err(|error| sentence(&error.to_string()))
}

async fn set_cuts(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>, form: Fields) -> HttpResponse {
    posted(&state, &request, Some(*site), form, move |page, form| {
        let site = page.site()?;
        let typed = |name: &str| [1, 2, 3, 4].map(|place| field(form, &format!("{name}_{place}")));
        let typed = CutsForm { thresholds: ["recency_days", "orders", "spent"].map(typed), problem: None };
        let cuts = match field(form, "do").as_str() {
            "fifths" => Ok(None),
            _ => read_cuts(site, &typed).map(Some),
        };
        match cuts {
            Ok(cuts) => {
                page.store.set_cuts(site, cuts.as_ref(), page.today()?)?;
                Ok(Reply::To(format!("/s/{}/segments?saved#cut-offs", site.site_id)))
            }
            Err(problem) => {
                let nothing = HashMap::new();
                let (report, in_use) = (report(page, &nothing)?, read_in_use(page, &nothing)?);
                let typed = CutsForm { problem: Some(problem), ..typed };
                let html = dashboard::segments(&page.shell(), &report, &in_use, &typed)?;
                Ok(Reply::Page(StatusCode::UNPROCESSABLE_ENTITY, html))
            }
        }
    })
    .await
}
