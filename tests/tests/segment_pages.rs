//! Segments on the dashboard: found, read, written, archived and taken along as files.

use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::{Value, json};
use tests::browser::Chromium;
use tests::cluster::Folder;
use tests::server::succeeds;
use tests::speech::now_ms;
use tests::web::Owner;
use tests::{SOON, Shop, segments, shop, until};

const EMAIL: &str = "owner@shop.example";
const PASSWORD: &str = "a long enough password";

/// A shop with its owner.
fn open() -> (Shop, Owner, String) {
    let shop = Shop::open();
    shop::add_user(&shop.database, EMAIL, PASSWORD);
    let owner = Owner::logs_in(&shop.server, EMAIL, PASSWORD);
    let list = format!("/s/{}/segments", shop.keys.site_id);
    (shop, owner, list)
}

/// Lines of a file.
fn lines(text: &str) -> Vec<&str> {
    text.split("\r\n").filter(|line| !line.is_empty()).collect()
}

#[test]
fn a_marketer_writes_a_segment_and_sees_who_is_in_it_and_why() {
    let (shop, owner, list) = open();
    shop.visitor("mia").views("/pricing").views("/pricing").signs_in("mia");
    shop.visitor("leo").views("/pricing");
    shop.is_projected();
    assert!(owner.reads(&format!("{list}/new")).contains("name=\"says\""));

    let says = "viewed \"/pricing\" at least 2 times within 14 days\r\nand never ordered";
    let preview = owner.posts(&format!("{list}/preview"), &[("says", says)]);
    assert_eq!(preview.status, 200, "{}", preview.body);
    assert!(preview.body.contains("1 of 2\u{a0}people"), "{}", preview.body);
    assert!(preview.body.contains("Viewed /pricing twice within 14 days"), "{}", preview.body);

    let fields = [("name", "Keen <on> pricing"), ("says", says), ("action", "Call them."), ("do", "save")];
    let made = owner.posts(&format!("{list}/new"), &fields);
    assert_eq!((made.status, made.header("location")), (303, Some(format!("{list}/keen-on-pricing").as_str())));
    shop.is_swept();
    let mia = shop.profile_id("user_id=mia");
    let page = owner.reads(&format!("{list}/keen-on-pricing"));
    for shown in [
        "Keen &#60;on&#62; pricing",
        &format!("/people/{mia}"),
        "Call them.",
        "Entered because the segment’s rule is new",
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    assert!(!page.contains("<on>"), "escaped");

    let file = owner.reads(&format!("{list}/keen-on-pricing.csv"));
    let rows = lines(&file);
    assert_eq!(rows.len(), 2, "{file}");
    assert!(rows[1].starts_with("keen-on-pricing,") && rows[1].contains("Viewed /pricing twice"), "{file}");
    assert_eq!(lines(&owner.reads(&format!("{list}/keen-on-pricing/days.csv"))).len(), 2);
    assert!(owner.reads(&format!("{list}/in-use.csv?q=keen")).contains("Keen <on> pricing"));
    assert!(!owner.reads(&format!("{list}/in-use?q=nothing+of+that+kind")).contains("keen-on-pricing"));

    let profile = owner.reads(&format!("/s/{}/people/{mia}", shop.keys.site_id));
    assert!(profile.contains("Keen &#60;on&#62; pricing") && profile.contains("never ordered"), "{profile}");
    let copy = owner.reads(&format!("{list}/new?from=keen-on-pricing"));
    assert!(copy.contains("pricing (copy)") && copy.contains("viewed &#34;/pricing&#34; at least twice"), "{copy}");
}

#[test]
fn what_cannot_be_read_is_shown_with_its_place_and_nothing_typed_is_lost() {
    let (shop, owner, list) = open();
    shop.visitor("mia").tracks("Product Viewed", json!({ "category": "shoes" }));
    shop.is_projected();
    let wrong = "did \"Product Viewed\"\r\nand never orderd";
    let fields = [("name", "Half <done>"), ("description", "As far as it goes"), ("says", wrong), ("do", "save")];
    let refused = owner.posts(&format!("{list}/new"), &fields);
    assert_eq!(refused.status, 422);
    for kept in ["Half &#60;done&#62;", "As far as it goes", "and never orderd</textarea>", "Line 2, character 11"] {
        assert!(refused.body.contains(kept), "{kept} in {}", refused.body);
    }
    let nameless = owner.posts(&format!("{list}/new"), &[("name", " "), ("says", "signed up"), ("do", "save")]);
    assert_eq!(nameless.status, 422);
    assert!(nameless.body.contains("signed up</textarea>") && nameless.body.contains("1 to 100 characters"));
    let unknown =
        owner.posts(&format!("{list}/new"), &[("name", "x"), ("says", "in segment \"vips\""), ("do", "save")]);
    assert_eq!(unknown.status, 422, "{}", unknown.body);
    // Without scripts a button shows the preview, and the form stays as it is.
    let misspelt = "did \"Prodct Viewed\" with \"categry\" is \"shoes\" and viewed \"/no*such\"";
    let shown = owner.posts(&format!("{list}/new"), &[("name", "Mine"), ("says", misspelt), ("do", "preview")]);
    assert_eq!(shown.status, 200);
    for said in [
        "value=\"Mine\"",
        "No event named “Prodct Viewed” has arrived. Did you mean “Product Viewed”?",
        "No event with a property “categry” was found. Did you mean “category”?",
        "No page “/no*such” has been viewed.",
    ] {
        assert!(shown.body.contains(said), "{said} in {}", shown.body);
    }
    assert_eq!(shop.database.number("SELECT count(*) FROM segments WHERE NOT from_library"), 0);
}

#[test]
fn a_segment_is_changed_archived_and_brought_back() {
    let (shop, owner, list) = open();
    shop.visitor("mia").views("/").signs_in("mia");
    shop.keeps("guests", "visited at least once");
    let mia = shop.profile_id("user_id=mia");
    assert_eq!(shop.members("guests"), [mia]);
    let form = owner.reads(&format!("{list}/guests/edit"));
    assert!(form.contains(">visited at least once</textarea>"), "{form}");
    let fields = [("name", "Guests"), ("says", "visited at least 9 times"), ("do", "save")];
    assert_eq!(owner.posts(&format!("{list}/guests/edit"), &fields).status, 303);
    shop.is_swept();
    assert!(shop.members("guests").is_empty());
    assert!(owner.reads(&format!("{list}/guests")).contains("Left because the segment’s rule is new"));

    let gone = owner.posts(&format!("{list}/guests/archive"), &[]);
    assert_eq!(gone.header("location"), Some(format!("{list}/archived").as_str()), "{}", gone.body);
    assert_eq!(owner.gets(&format!("{list}/guests")).status, 404);
    assert!(owner.reads(&format!("{list}/archived")).contains("/guests/restore"));
    let back = owner.posts(&format!("{list}/guests/restore"), &[]);
    assert_eq!(back.header("location"), Some(format!("{list}/guests").as_str()));
    shop.is_swept();
    assert!(!owner.reads(&format!("{list}/archived")).contains("/guests/restore"));

    // One that another asks for stays, and the page says which.
    shop.keeps("asking", "in segment \"guests\"");
    let asked_for = owner.posts(&format!("{list}/guests/archive"), &[]);
    assert_eq!(asked_for.status, 400);
    assert!(asked_for.body.contains("asked for by asking"), "{}", asked_for.body);
}

#[test]
fn forms_of_others_and_segments_of_others_are_refused() {
    let (shop, owner, list) = open();
    shop.keeps("guests", "visited at least once");
    let other = shop.neighbour("other");
    let theirs = format!("/s/{}/segments", other.site_id);
    for path in
        ["/guests", "/guests/edit", "/guests.csv", "/guests/days.csv", "/new?from=guests", "/progress?key=guests"]
    {
        assert_eq!(owner.gets(&format!("{theirs}{path}")).status, 404, "{path}");
        assert_eq!(owner.gets(&format!("{list}{path}")).status, 200, "{path}");
    }
    assert_eq!(owner.posts(&format!("{theirs}/guests/archive"), &[]).status, 404);
    assert_eq!(owner.posts(&format!("{theirs}/guests/restore"), &[]).status, 404);
    assert_eq!(owner.posts(&format!("{list}/guests%00/restore"), &[]).status, 404);
    let fields = [("name", "x"), ("says", "signed up"), ("do", "save"), ("csrf_token", "guessed")];
    for path in ["/new", "/preview", "/cuts", "/guests/edit", "/guests/archive", "/guests/restore"] {
        assert_eq!(owner.posts_bare(&format!("{list}{path}"), &fields).status, 403, "{path}");
    }
    assert_eq!(shop.web.get(&format!("{list}/guests")).status, 303, "a stranger is led to the log-in");
    assert_eq!(shop.members("guests"), Vec::<i64>::new());
    // Words that stand for pages are no keys.
    let named_new = owner.posts(&format!("{list}/new"), &[("name", "New"), ("says", "signed up"), ("do", "save")]);
    assert_eq!(named_new.header("location"), Some(format!("{list}/new-2").as_str()), "{}", named_new.body);
}

#[test]
fn own_thresholds_make_the_scores_and_can_be_taken_back() {
    let (shop, owner, list) = open();
    for (order, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let placed = json!({ "order_id": format!("A{order}"), "total": 10 * (order + 1), "currency": "EUR" });
        shop.visitor(name).at(now_ms()).tracks("Order Completed", placed).signs_in(name);
    }
    shop.is_projected();
    let cuts = |orders: [&'static str; 4]| {
        let mut fields = vec![("do".to_owned(), "save")];
        for (name, values) in
            [("recency_days", ["7", "30", "90", "180"]), ("orders", orders), ("spent", ["20", "49.90", "100", "500"])]
        {
            fields.extend((1..).zip(values).map(|(place, value)| (format!("{name}_{place}"), value)));
        }
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        owner.posts(&format!("{list}/cuts"), &fields)
    };
    let refused = cuts(["2", "5", "3", "9"]);
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("orders: 3 follows 5") || refused.body.contains("Orders: 3 follows 5"));
    assert!(refused.body.contains("value=\"49.90\""), "what was typed stays");
    let words = cuts(["two", "3", "4", "5"]);
    assert!(words.status == 422 && words.body.contains("`two` is no whole number"), "{}", words.body);
    assert_eq!(cuts(["2", "3", "5", "9"]).status, 303);
    let page = owner.reads(&list);
    assert!(page.contains("own thresholds, on every day") && page.contains("Back to fifths"), "{page}");
    assert_eq!(owner.posts(&format!("{list}/cuts"), &[("do", "fifths")]).status, 303);
    assert!(!owner.reads(&list).contains("Back to fifths"));
    // The ready-made segments come by themselves, each with a page.
    until("the library", SOON, || owner.reads(&list).contains("/segments/rfm-champions\">Champions").then_some(()));
    shop.is_swept();
    assert!(owner.reads(&format!("{list}/rfm-champions")).contains("Recency and frequency"));
    assert!(owner.reads(&format!("{list}/rfm-champions?as_of=2026-01-01")).contains("As of the end of"));
}

#[test]
fn a_rule_is_previewed_while_it_is_written_and_a_new_segment_shows_up_by_itself() {
    let (shop, _, list) = open();
    shop.visitor("mia").views("/pricing");
    shop.is_projected();
    let chromium = Chromium::start();
    let tab = chromium.tab();
    let url = |path: &str| format!("{}{path}", shop.web.origin());
    tab.goes_to(&url("/login")).types("#email", EMAIL).types("#password", PASSWORD).clicks("button[type=submit]");
    tab.sees("location.pathname.endsWith('/overview')");
    let says = |text: &str| format!("document.querySelector('#says').value === {text:?}");
    let previews = |text: &str| format!("document.querySelector('#preview').textContent.includes({text:?})");
    tab.goes_to(&url(&format!("{list}/new"))).clicks(".phrases li:nth-child(3) button.insert");
    tab.sees(&says("never ordered")).sees(&previews("1 of 1"));
    tab.clicks(".words button.insert");
    tab.sees(&says("never ordered\nand viewed \"/pricing\" at least once within 30 days")).sees(&previews("1 of 1"));
    tab.types("#says", " und").sees("document.querySelector('#preview mark')?.textContent === 'u'");
    assert_eq!(tab.value("document.querySelector('#says').value.length > 40"), true, "nothing typed is lost");
    let rule = "document.querySelector('#says')";
    tab.value(&format!(
        "{rule}.value = 'never ordered', {rule}.dispatchEvent(new Event('input', {{ bubbles: true }}))"
    ));
    tab.types("#name", "Browsers").clicks("button[value=save]");
    tab.sees(
        "location.pathname.endsWith('/segments/browsers') && document.querySelector('.kpi .v').textContent === '1'",
    );
    tab.goes_to(&url(&list)).types("#q", "nobody has this");
    tab.sees("document.querySelector('#in-use').textContent.includes('No segment speaks of')");
    assert_eq!(tab.value("document.activeElement.id"), "q", "and can be gone on with");
    assert_eq!(tab.console(), Vec::<String>::new());
}

#[test]
fn a_list_is_written_by_hand_and_a_snapshot_keeps_who_was_in_a_segment() {
    let (shop, owner, list) = open();
    shop.visitor("mia").views("/pricing").signs_in("mia");
    shop.visitor("leo").views("/pricing").signs_in("leo");
    shop.is_projected();
    shop.keeps("pricing", "viewed \"/pricing\" at least once within 14 days");
    shop.is_swept();
    let (mia, leo) = (shop.profile_id("user_id=mia"), shop.profile_id("user_id=leo"));

    assert!(owner.reads(&list).contains(&format!("href=\"{list}/new-list\"")));
    let empty = owner.posts(&format!("{list}/new-list"), &[("name", "Friends"), ("people", " \r\n")]);
    assert_eq!(empty.status, 422, "{}", empty.body);
    assert!(empty.body.contains("Write whom to take") && empty.body.contains("value=\"Friends\""), "{}", empty.body);
    let made = owner.posts(&format!("{list}/new-list"), &[("name", "Friends"), ("people", "mia\r\nno<body>\r\n")]);
    assert_eq!(made.status, 200, "{}", made.body);
    for shown in ["1\u{a0}identifier came into the list.", "no&#60;body&#62;", "Who is in Friends"] {
        assert!(made.body.contains(shown), "{shown} in {}", made.body);
    }
    let are = |key: &str, people: &[i64]| {
        let mut people = people.to_vec();
        people.sort_unstable();
        until("the members to be these", SOON, || (shop.members(key) == people).then_some(()));
    };
    are("friends", &[mia]);
    let file = "name,user_id\r\n\"L, eo\",leo\r\n";
    let changed = owner.posts(&format!("{list}/friends/people"), &[("people", file), ("mode", "replace")]);
    assert!(
        changed.body.contains("1\u{a0}identifier came into the list and 1\u{a0}identifier left it."),
        "{}",
        changed.body
    );
    are("friends", &[leo]);
    let wrong = owner.posts(&format!("{list}/friends/people"), &[("people", "nobody"), ("mode", "replace")]);
    assert_eq!(wrong.status, 422, "{}", wrong.body);
    assert!(wrong.body.contains("the list is left as it is"), "{}", wrong.body);
    are("friends", &[leo]);
    owner.posts(&format!("{list}/friends/people"), &[("people", "leo"), ("mode", "remove")]);
    are("friends", &[]);

    let kept = owner.posts(&format!("{list}/pricing/snapshot"), &[("name", "Pricing, November")]);
    assert_eq!((kept.status, kept.header("location")), (303, Some(format!("{list}/pricing-november").as_str())));
    are("pricing-november", &[mia, leo]);
    assert!(owner.reads(&format!("{list}/pricing-november")).contains(&format!("{list}/pricing-november/people")));
    assert_eq!(owner.gets(&format!("{list}/pricing/people")).status, 404, "a rule has no people to write");
    assert_eq!(owner.gets(&format!("{list}/friends/past.csv")).status, 404, "a list has no past");
    let bare = owner.posts_bare(&format!("{list}/friends/people"), &[("people", "mia"), ("mode", "add")]);
    assert_eq!(bare.status, 403);
}

/// A shop's past as a file: the CDNOW sample, its last day yesterday.
fn bought_until_yesterday(folder: &Folder) -> String {
    let cdnow = include_str!("../../domain/tests/data/cdnow_sample.csv");
    let last: Date = "1998-06-30".parse().expect("a day");
    let today = jiff::Timestamp::from_millisecond(now_ms()).expect("a moment");
    let today = today.to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
    let later = today.since(last).expect("later").get_days() - 1;
    let mut moved = String::from("customer,date,total\n");
    for line in cdnow.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let day = cells[2].parse::<Date>().expect("a day") + later.days();
        moved += &format!("{},{day},{}\n", cells[0], cells[4]);
    }
    let path = folder.path().join("orders.csv");
    std::fs::write(&path, moved).expect("a file");
    path.to_str().expect("a path of text").to_owned()
}

/// The numbers in a column of a file.
#[track_caller]
fn column(file: &str, name: &str) -> Vec<f64> {
    let mut reader = csv::Reader::from_reader(file.as_bytes());
    let at = reader.headers().expect("a header").iter().position(|column| column == name).expect("the column");
    reader.records().map(|row| row.expect("a row")[at].parse().expect("a number")).collect()
}

#[test]
fn a_marketer_sees_what_is_expected_and_how_well_that_went_before_and_takes_new_clusters() {
    let (shop, owner, list) = open();
    let page = format!("/s/{}/predictions", shop.keys.site_id);
    assert!(owner.reads(&page).contains("Nobody has ordered yet"));
    for table in ["ahead", "alive", "trials", "clusters", "rules"] {
        assert_eq!(lines(&owner.reads(&format!("{page}/{table}.csv"))).len(), 1, "{table}: a header");
    }
    assert_eq!(owner.gets(&format!("{page}/people.csv")).status, 404);

    let folder = Folder::make();
    let orders = bought_until_yesterday(&folder);
    let map = "customer_id=customer,ordered_at=date,total=total";
    succeeds(&segments(&shop.database, &["import", "orders", "--site", "shop", &orders, "--map", map]));
    shop.is_projected();
    let told = || shop.ask("/api/v1/models").json();
    let models = until("the models to know everybody", 3 * SOON, || {
        Some(told()).filter(|models| models["predictions"]["buyers"] == 2_357)
    });
    shop.is_swept();
    let (predictions, model) = (&models["predictions"], &models["clusters"]["model"]);
    assert_eq!(predictions["chosen"]["basis"], "trials");
    // An import is several looks at the models; nobody is asked to agree to what has become of the first of them.
    assert_eq!(models["clusters"]["proposal"], Value::Null, "{}", models["clusters"]["drift"]);

    let shown = owner.reads(&page);
    let method = predictions["method"].as_str().expect("a method");
    assert!(shown.contains(&format!("<b>{method}</b> <span class=\"pill good\">chosen</span>")), "{shown}");
    let next = |name: &str| predictions["next_90_days"][name].as_f64().expect("a number");
    let ahead = owner.reads(&format!("{page}/ahead.csv"));
    assert_eq!(column(&ahead, "days"), [30.0, 90.0, 365.0]);
    for (name, of) in [("expected_orders", "orders"), ("orders_low_80", "low"), ("orders_high_80", "high")] {
        assert!((column(&ahead, name)[1] - next(of)).abs() < 1e-3, "{name} in {ahead}");
    }
    assert!((100.0..999.0).contains(&next("orders")), "{}", next("orders"));
    assert!(shown.contains(&format!("<div class=\"v\">{:.0}</div>", next("orders"))), "{shown}");
    // The sum over people is that of all together, and everybody is in one tenth and one cluster.
    let sum = |file: &str, name: &str| column(file, name).iter().sum::<f64>();
    let alive = owner.reads(&format!("{page}/alive.csv"));
    assert_eq!((lines(&alive).len(), sum(&alive, "people")), (11, 2_357.0));
    assert!((sum(&alive, "expected_orders_90_days") / next("orders") - 1.0).abs() < 1e-3, "{alive}");
    let trials = owner.reads(&format!("{page}/trials.csv"));
    assert_eq!(lines(&trials).len() - 1, predictions["chosen"]["trials"].as_array().map_or(0, Vec::len));
    assert!(lines(&trials)[1].starts_with(&format!("{method},yes,")), "{trials}");
    let clusters = model["clusters"].as_array().expect("clusters");
    let people: Vec<f64> = clusters.iter().map(|cluster| cluster["people"].as_f64().expect("people")).collect();
    assert_eq!(column(&owner.reads(&format!("{page}/clusters.csv")), "people"), people);
    for cluster in clusters {
        assert!(shown.contains(cluster["name"].as_str().expect("a name")), "{cluster}");
    }

    // A cluster leads to the page on which a segment of it is written, then to the segment.
    let id = &clusters[0]["id"];
    let name = clusters[0]["name"].as_str().expect("a name");
    assert!(shown.contains(&format!("{list}/new?says=cluster%20is%20{id}&#38;name=")), "{shown}");
    let form = owner.reads(&format!("{list}/new?says=cluster%20is%20{id}&name=Best%20%3Cb%3E"));
    assert!(form.contains(&format!(">cluster is {id}</textarea>")), "{form}");
    assert!(form.contains("value=\"Best &#60;b&#62;\""), "{form}");
    shop.keeps("best", &format!("cluster is {id}"));
    let row = format!("id=\"cluster-{id}\"><th scope=\"row\" class=\"grow\"><a href=\"{list}/best\">{name}");
    assert!(owner.reads(&page).contains(&row), "{row}");
    let best = shop.members("best");
    assert_eq!(best.len() as f64, people[0]);

    // One person of it.
    let person = owner.reads(&format!("/s/{}/people/{}", shop.keys.site_id, best[0]));
    for part in [&format!("<a href=\"{page}#cluster-{id}\">{name}</a>"), "Still a customer", "Orders, next 90 days"] {
        assert!(person.contains(part), "{part} in {person}");
    }

    // New clusters change nothing until they are taken.
    assert!(!shown.contains("Take the new clusters"));
    shop.database.run(
        "UPDATE segment_models SET model = model || jsonb_build_object(
            'proposal', jsonb_set(model->'model', '{clusters,0,name}', '\"Reborn <i>\"'), 'proposal_moves', 17,
            'drift', '[\"They have changed.\"]'::jsonb) WHERE kind = 'clusters'",
    );
    let proposal = owner.reads(&page);
    let moved = "17 of 2,357\u{a0}people (0.7\u{a0}%)";
    for part in ["Take the new clusters", "Reborn &#60;i&#62;", "They have changed.", moved] {
        assert!(proposal.contains(part), "{part} in {proposal}");
    }
    assert_eq!(owner.posts_bare(&format!("{page}/clusters"), &[("csrf_token", "guessed")]).status, 403);
    assert_ne!(told()["clusters"]["proposal"], Value::Null);
    let taken = owner.posts(&format!("{page}/clusters"), &[]);
    assert_eq!((taken.status, taken.header("location")), (303, Some(format!("{page}#clusters").as_str())));
    assert_eq!(told()["clusters"]["model"]["clusters"][0]["name"], "Reborn <i>");
    until("the models to be made of them", 3 * SOON, || {
        (!owner.reads(&format!("{page}/due")).contains("hx-get")).then_some(())
    });
    let after = owner.reads(&page);
    assert!(after.contains("Reborn &#60;i&#62;") && !after.contains("Take the new clusters"), "{after}");
    assert_eq!(owner.posts(&format!("{page}/clusters"), &[]).status, 303, "taken already");

    // Somebody who may see another site alone sees nothing of this one.
    let other = shop.neighbour("other");
    let made = succeeds(&segments(&shop.database, &["user", "add", "keeper@other.example", "--site", "other"]));
    let password = made.split_once("password  ").and_then(|(_, rest)| rest.split(' ').next()).expect("a password");
    let keeper = Owner::logs_in(&shop.server, "keeper@other.example", password);
    assert!(keeper.reads(&format!("/s/{}/predictions", other.site_id)).contains("Nobody has ordered yet"));
    for path in ["", "/due", "/trials.csv", "/clusters.csv"] {
        assert_eq!(keeper.gets(&format!("{page}{path}")).status, 404, "{path}");
        assert_eq!(owner.gets(&format!("{page}{path}")).status, 200, "{path}");
    }
    assert_eq!(keeper.posts(&format!("{page}/clusters"), &[]).status, 404);
    assert_eq!(shop.web.get(&page).status, 303, "a stranger is led to the log-in");
}
