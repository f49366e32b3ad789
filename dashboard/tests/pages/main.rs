//! Whole pages from fixture reports: what they look like, and what must never be in them.

mod acquisition;
mod all;
mod experience;
mod fixtures;
mod imports;
mod insight;
mod joins;
mod matches;
mod plan;
mod sources;
mod traits;

use fixtures::HOSTILE;

fn pages() -> Vec<(&'static str, String)> {
    all::all().into_iter().map(|(name, page)| (name, page.unwrap_or_else(|error| panic!("{name}: {error}")))).collect()
}

#[test]
fn pages_stay_as_they_are() {
    for (name, page) in pages() {
        // Four hundred time zones say nothing about the page.
        let shown = match (page.find("<datalist"), page.find("</datalist>")) {
            (Some(start), Some(end)) => format!("{}<datalist>…{}", &page[..start], &page[end..]),
            _ => page,
        };
        insta::assert_snapshot!(name, shown);
    }
}

/// A start tag: its name, its attributes, and what stands in it where it is a script.
type Tag = (String, Vec<(String, String)>, String);

/// The start tags of a page, as a browser's tokenizer finds them: quotes hide `>`, script elements hide everything.
fn tags(page: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
        rest = &rest[name.len()..];
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            if let Some(after) = rest.strip_prefix('>') {
                rest = after;
                break;
            }
            let key_end = rest.find(|c: char| c.is_whitespace() || "=>/".contains(c)).expect("a tag ends");
            let key = rest[..key_end].to_owned();
            assert!(!key.is_empty(), "an attribute without a name near {:?}", &rest[..rest.len().min(40)]);
            rest = &rest[key_end..];
            let value = match rest.strip_prefix("=\"") {
                Some(after) => {
                    let end = after.find('"').expect("a value ends");
                    rest = &after[end + 1..];
                    after[..end].to_owned()
                }
                None => {
                    assert!(!rest.starts_with('='), "{key} has an unquoted value");
                    String::new()
                }
            };
            attributes.push((key, value));
        }
        let mut text = String::new();
        if name == "script" {
            let end = rest.find("</script").expect("a script ends");
            text = rest[..end].to_owned();
            rest = &rest[end..];
        }
        tags.push((name, attributes, text));
    }
    tags
}

#[test]
fn no_page_has_inline_script_or_style() {
    for (name, page) in pages() {
        for (tag, attributes, text) in tags(&page) {
            let attribute = |key: &str| attributes.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
            assert_ne!(tag, "style", "{name}");
            for (key, value) in &attributes {
                assert!(key != "style" && !key.starts_with("on"), "{name}: <{tag} {key}={value:?}>");
                assert!(!key.starts_with("hx-on"), "{name}: <{tag} {key}={value:?}>");
                assert!(!(key == "hx-trigger" && value.contains('[')), "{name}: a filter needs eval: {value}");
            }
            if tag == "script" {
                assert_eq!(text, "", "{name}");
                assert!(attribute("src").is_some_and(|src| src.starts_with("/assets/")), "{name}");
            }
        }
    }
}

/// Whether it is a key of the debugger's, with nothing behind it.
fn is_key(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[test]
fn nothing_that_was_sent_becomes_markup_or_an_address() {
    for (name, page) in pages() {
        assert!(!page.contains(HOSTILE), "{name}: not escaped");
        for (tag, attributes, text) in tags(&page) {
            assert!(!(tag == "img" || text.contains("alert")), "{name}: <{tag}> {text}");
            for (key, value) in &attributes {
                if ["href", "src", "action", "hx-get", "hx-post"].contains(&key.as_str()) {
                    let ours = value.starts_with(['/', '?', '#']) && !value.starts_with("//");
                    let is_named_source = tag == "a" && value == "https://db-ip.com";
                    let is_own_site = tag == "a"
                        && ["shop", "blog"].iter().any(|site| {
                            value.strip_prefix(&format!("https://{site}.example/?segments_debug=")).is_some_and(is_key)
                        });
                    let ours = ours || is_named_source || is_own_site || value.starts_with("data:image/svg+xml,");
                    assert!(ours, "{name}: <{tag} {key}={value:?}>");
                    assert!(!value.contains(['<', '>', '\'', ' ']) || value.starts_with("data:"), "{name}: {value}");
                }
            }
        }
    }
}

#[test]
fn no_template_switches_escaping_off() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
    for entry in std::fs::read_dir(folder).expect("the templates") {
        let path = entry.expect("a template").path();
        let text = std::fs::read_to_string(&path).expect("a text");
        assert!(!text.contains("|safe") && !text.contains("| safe"), "{}", path.display());
        assert_eq!(path.extension(), Some("html".as_ref()), "only .html is escaped: {}", path.display());
    }
}

#[test]
fn forms_that_change_something_carry_the_token() {
    for (name, page) in pages() {
        for form in page.split("<form").skip(1).map(|rest| rest.split("</form>").next().unwrap_or(rest)) {
            let changes = form.split('>').next().is_some_and(|tag| tag.contains("method=\"post\""));
            assert_eq!(changes, form.contains("name=\"csrf_token\" value=\"csrf-token\""), "{name}: {form}");
        }
    }
}

#[test]
fn controls_and_landmarks_have_names() {
    for (name, page) in pages() {
        let tags = tags(&page);
        let ids: Vec<&str> = tags
            .iter()
            .flat_map(|(_, attributes, _)| attributes.iter().filter(|(key, _)| key == "id"))
            .map(|(_, value)| value.as_str())
            .collect();
        let mut once = ids.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), ids.len(), "{name}: an id twice in {ids:?}");
        for (tag, attributes, _) in &tags {
            for (key, value) in attributes {
                if ["aria-labelledby", "aria-describedby", "for", "list", "data-copy"].contains(&key.as_str()) {
                    assert!(ids.contains(&value.as_str()), "{name}: <{tag} {key}={value:?}> leads nowhere");
                }
            }
            let has = |wanted: &str| attributes.iter().any(|(key, _)| key == wanted);
            if tag == "nav" {
                assert!(has("aria-label"), "{name}: a nav without a name");
            }
            if tag == "section" {
                assert!(has("aria-label") || has("aria-labelledby"), "{name}: a section without a name");
            }
            if tag == "input" && !attributes.contains(&("type".into(), "hidden".into())) && !has("id") {
                assert!(attributes.contains(&("type".into(), "radio".into())), "{name}: an input without a label");
            }
        }
        let count = |wanted: &str| tags.iter().filter(|(tag, ..)| tag == wanted).count();
        assert_eq!(count("table"), count("caption"), "{name}: every table has a caption");
        if page.starts_with("<!doctype") {
            assert_eq!((count("main"), count("h1"), count("title")), (1, 1, 1), "{name}");
        }
    }
}

#[test]
fn numbers_lead_to_definitions_that_exist() {
    let pages = pages();
    let definitions = &pages.iter().find(|(name, _)| *name == "definitions").expect("the page").1;
    for (name, page) in &pages {
        for anchor in page.split("href=\"/definitions#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(definitions.contains(&format!("id=\"{anchor}\"")), "{name}: no definition of {anchor}");
        }
    }
}

#[test]
fn every_table_has_its_file() {
    use domain::report::{AcquisitionTable, OverviewTable, PredictionsTable, ProfileTable};
    let files = [
        ("overview/days", fixtures::overview().csv(OverviewTable::Days)),
        ("overview/pages", fixtures::overview().csv(OverviewTable::Pages)),
        ("overview/channels", fixtures::overview().csv(OverviewTable::Channels)),
        ("acquisition/channels", acquisition::acquisition().csv(AcquisitionTable::Channels)),
        ("acquisition/campaigns", acquisition::acquisition().csv(AcquisitionTable::Campaigns)),
        ("acquisition/unmatched", acquisition::acquisition().csv(AcquisitionTable::Unmatched)),
        ("acquisition/queries", acquisition::acquisition().csv(AcquisitionTable::Queries)),
        ("acquisition/search-pages", acquisition::acquisition().csv(AcquisitionTable::SearchPages)),
        ("acquisition/history", acquisition::acquisition().csv(AcquisitionTable::History)),
        ("experience/vitals", experience::experience().vitals_csv()),
        ("experience/pages", experience::experience().pages_csv()),
        ("live/events", fixtures::live().csv()),
        ("live/outcomes", fixtures::live().outcomes.csv()),
        ("live/rejected", fixtures::live().rejected_csv()),
        ("segments", fixtures::segments().csv()),
        ("segments/rfm-champions", fixtures::members().csv()),
        ("segments/in-use", fixtures::in_use().csv()),
        ("segments/curves", fixtures::segments().curves_csv()),
        ("segments/keen-on-pricing", fixtures::segment_report().members.csv()),
        ("segments/keen-on-pricing/days", fixtures::segment_report().days_csv()),
        ("predictions/ahead", fixtures::predictions().csv(PredictionsTable::Ahead)),
        ("predictions/alive", fixtures::predictions().csv(PredictionsTable::Alive)),
        ("predictions/trials", fixtures::predictions().csv(PredictionsTable::Trials)),
        ("predictions/clusters", fixtures::predictions_proposal().csv(PredictionsTable::Clusters)),
        ("predictions/rules", fixtures::predictions().csv(PredictionsTable::Rules)),
        ("sources", sources::book().csv()),
        ("sources/tracker/days", sources::tracker().days_csv()),
        ("sources/tracker/rejected", sources::tracker().rejected_csv()),
        ("imports", imports::list().csv()),
        ("people", fixtures::people().csv()),
        ("people/41/timeline", fixtures::profile().csv(ProfileTable::Timeline)),
        ("people/41/identities", fixtures::profile().csv(ProfileTable::Identities)),
    ];
    let shown: Vec<String> = files.iter().map(|(name, text)| format!("{name}.csv\n{text}")).collect();
    insta::assert_snapshot!("files", shown.join("\n").replace("\r\n", "\n"));
    for (name, text) in &files {
        let path = format!("/s/1/{name}.csv");
        assert!(pages().iter().any(|(_, page)| page.contains(&path)), "no page leads to {path}");
        let columns = text.lines().next().map_or(0, |header| header.split(',').count());
        assert!(columns > 1 && text.lines().count() > 1, "{name}");
    }
}

#[test]
fn nobody_can_put_a_formula_into_a_file() {
    let formula = "=HYPERLINK(\"http://evil.example\",\"x\")";
    let mut people = fixtures::people();
    people.rows[0].name = Some(formula.into());
    let mut live = fixtures::live();
    live.latest_rejected[0].sample = Some(formula.into());
    let mut members = fixtures::members();
    members.rows[0].name = Some(formula.into());
    let mut overview = fixtures::overview();
    overview.pages[0].title = Some(formula.into());
    let mut predictions = fixtures::predictions();
    predictions.clusters.iter_mut().for_each(|clusters| clusters.rows[0].name = formula.into());
    let mut alike = matches::matches();
    alike.decided[0].one.identifier.value = formula.into();
    let mut acquired = acquisition::acquisition();
    acquired.search.queries[0].value = formula.into();
    acquired.campaigns[0].campaign = formula.into();
    let mut felt = experience::experience();
    felt.pages[0].page = formula.into();
    let files = [
        felt.pages_csv(),
        acquired.csv(domain::report::AcquisitionTable::Queries),
        acquired.csv(domain::report::AcquisitionTable::Campaigns),
        domain::report::matches_csv(&alike.decided),
        people.csv(),
        live.rejected_csv(),
        members.csv(),
        overview.csv(domain::report::OverviewTable::Pages),
        predictions.csv(domain::report::PredictionsTable::Clusters),
    ];
    for text in files {
        assert!(text.contains("\"'=HYPERLINK(\"\"http"), "{text}");
    }
}

#[test]
fn what_changed_is_said_with_its_driver_and_numbers() {
    let page = &pages().into_iter().find(|(name, _)| *name == "overview").expect("the page").1;
    assert!(page.contains("<b>Revenue is up "), "{page}");
    assert!(page.contains("mostly from Newsletter"), "{page}");
    assert!(page.contains("shop.example/coffee/oat-blend was viewed "), "{page}");
}
