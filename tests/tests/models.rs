//! `segments model`: predictions from a file, without a database; and those of visits, with one.

use serde_json::{Value, json};
use std::fs;
use std::process::Output;
use tests::cluster::Folder;
use tests::server::{command, fails, succeeds};
use tests::{SOON, Shop, speech, until};

const CDNOW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../domain/tests/data/cdnow_sample.csv");
const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../domain/tests/data/btyd_cdnow_sample.json");
const MAP: &str = "customer_id=customer_id,ordered_at=date,total=amount";

/// Runs `segments model` where any attempt at a database would fail.
fn model(arguments: &[&str]) -> Output {
    let mut segments = command();
    segments.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere").arg("model").args(arguments);
    segments.output().expect("segments runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&succeeds(output)).expect("JSON")
}

#[track_caller]
fn near(found: &Value, expected: &Value, relative: f64) {
    let (found, expected) = (found.as_f64().expect("a number"), expected.as_f64().expect("a number"));
    assert!((found - expected).abs() <= relative * expected.abs(), "{found} is not {expected}");
}

#[test]
fn cdnow_is_fitted_to_the_reference_without_a_database() {
    let fit = ["fit", "--orders", CDNOW, "--map", MAP, "--calibration-end", "1997-09-30"];
    let told = json(&model(&[&fit[..], &["--json"]].concat()));
    let reference: Value = serde_json::from_str(&fs::read_to_string(REFERENCE).unwrap()).unwrap();
    let reference = &reference["exact_days"];
    assert_eq!((told["customers"].as_u64(), told["repeat_orders"].as_u64()), (Some(2_357), Some(2_457)));
    let names = [
        ("bg_nbd", ["r", "alpha", "a", "b"]),
        ("mbg_nbd", ["r", "alpha", "a", "b"]),
        ("pareto_nbd", ["r", "alpha", "s", "beta"]),
    ];
    for (key, params) in names {
        let (found, expected) = (&told["models"][key], &reference["models"][key]);
        near(&found["log_likelihood"], &expected["LL"], 1e-7);
        for (at, name) in params.into_iter().enumerate() {
            near(&found["params"][name], &expected["params"][at], 1e-3);
        }
    }
    near(&told["gamma_gamma"]["log_likelihood"], &reference["gamma_gamma"]["LL"], 2e-7);
    for (at, name) in ["p", "q", "v"].into_iter().enumerate() {
        near(&told["gamma_gamma"]["params"][name], &reference["gamma_gamma"]["params_p_q_v"][at], 1e-3);
    }
    // For people the same in words.
    let table = succeeds(&model(&fit));
    assert!(table.contains("BG/NBD") && table.contains("-9582.42") && table.contains("alpha 4.41"), "{table}");
}

#[test]
fn the_holdout_is_told_as_a_table_and_as_json() {
    let evaluate = ["evaluate", "--orders", CDNOW, "--map", MAP, "--calibration-end", "1997-09-30"];
    let told = json(&model(&[&evaluate[..], &["--json"]].concat()));
    assert_eq!(told["actual_orders"].as_u64(), Some(1_882));
    assert_eq!((told["holdout_days"].as_u64(), told["holdout_end"].as_str()), (Some(273), Some("1998-06-30")));
    let pareto = told["lines"].as_array().unwrap().iter().find(|line| line["name"] == "Pareto/NBD").expect("a line");
    near(&pareto["total_error"], &serde_json::json!(-0.115), 0.01);
    let coverage = told["coverage"].as_f64().unwrap();
    assert!((0.75..=0.85).contains(&coverage), "{coverage}");
    let table = succeeds(&model(&evaluate));
    assert!(table.contains("1882 orders in the 273 days") && table.contains("naive rate"), "{table}");
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let folder = Folder::make();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let few = write(
        "few.csv",
        "customer_id,date,total\na,2026-01-01,5\na,2026-02-01,oops\nb,2026-01-05,7.50\n,2026-01-09,1\n",
    );
    let output = model(&["fit", "--orders", &few]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("left out 2 of 4 lines, the first of them line 3: total \"oops\" is no amount"), "{told}");
    assert!(succeeds(&output).starts_with("2 customers with 0 repeat orders until 2026-01-05"));

    assert!(fails(&model(&["fit", "--orders", "/no/such/file.csv"])).contains("cannot open /no/such/file.csv"));
    let early = fails(&model(&["fit", "--orders", &few, "--calibration-end", "2025-01-01"]));
    assert!(early.contains("no order until 2025-01-01; choose a later --calibration-end"), "{early}");
    let late = fails(&model(&["evaluate", "--orders", &few, "--calibration-end", "2026-01-05"]));
    assert!(late.contains("the last order is of 2026-01-05; choose a day before it"), "{late}");
    let odd = write("odd.csv", "who,when\na,b\n");
    assert!(fails(&model(&["fit", "--orders", &odd])).contains("no column for customer_id"));
    let empty = write("empty.csv", "customer_id,date,total\n");
    assert!(fails(&model(&["fit", "--orders", &empty])).contains("no order that can be read"));
}

const DAY_MS: i64 = 86_400_000;

/// Says on a server's behalf that people did something so many days ago.
fn say(shop: &Shop, messages: &[(&str, i64, Value)]) {
    let messages: Vec<Value> = messages
        .iter()
        .enumerate()
        .map(|(n, (who, days_ago, message))| {
            let at = jiff::Timestamp::from_millisecond(speech::now_ms() - days_ago * DAY_MS).expect("a moment");
            let mut message = message.clone();
            message["anonymousId"] = json!(who);
            message["messageId"] = json!(format!("{who}-{days_ago}-{}-{n}", message["type"]));
            message["timestamp"] = json!(at.to_string());
            message
        })
        .collect();
    let count = messages.len() as u64;
    assert_eq!(shop.server_says(&messages).receipt(), (count, 0, 0));
}

#[test]
fn a_site_without_orders_knows_who_comes_back_and_who_signs_up() {
    let shop = Shop::open();
    let view = || json!({ "type": "page", "properties": { "url": "https://shop.example/" } });
    let sign_up = |user_id: &str| json!({ "type": "identify", "userId": user_id });
    for n in 0..30 {
        // One comes every week until today, another came three times a quarter of a year ago; every third has an account.
        let (regular, gone) = (format!("regular-{n}"), format!("gone-{n}"));
        let mut messages: Vec<(&str, i64, Value)> = (0..12).map(|week| (&*regular, 7 * week, view())).collect();
        messages.extend((0..3).map(|time| (&*gone, 90 + 5 * time, view())));
        if n % 3 == 0 {
            messages.push((&*regular, 70, sign_up(&regular)));
            messages.push((&*gone, 95, sign_up(&gone)));
        }
        say(&shop, &messages);
    }
    shop.is_projected();
    let models = until("the models to know everybody", 2 * SOON, || {
        let models = shop.ask("/api/v1/models").json();
        (models["predictions"]["visits"]["visitors"] == 60).then_some(models)
    });
    let visits = &models["predictions"]["visits"];
    assert_eq!((&models["predictions"]["buyers"], &visits["chosen"]["basis"]), (&json!(0), &json!("default")));
    let expected = |name: &str| visits[name].as_f64().expect("a number");
    assert!((25.0..=40.0).contains(&expected("expected_to_return")), "{visits}");
    assert!((0.1..=10.0).contains(&expected("expected_to_sign_up")), "{visits}");

    // Rules are told what the table has.
    shop.keeps("back", "probability of return is at least 0.5");
    shop.keeps("may-sign-up", "probability of sign up is known");
    let chance = |who: &str, of: &str| {
        let id = shop.profile_id(&format!("visitor_id={who}"));
        let rows = shop.database.rows(&format!("SELECT {of} AS chance FROM segment_scores WHERE profile_id = {id}"));
        rows[0]["chance"].as_f64()
    };
    let (regular, gone) = (chance("regular-1", "probability_of_return"), chance("gone-1", "probability_of_return"));
    assert!(regular > Some(0.9) && gone < Some(0.3), "{regular:?} {gone:?}");
    assert_eq!(shop.members("back").len(), 30);
    assert_eq!(shop.members("may-sign-up").len(), 40);
    assert!(chance("regular-0", "probability_of_sign_up").is_none());
    assert!(chance("regular-1", "probability_of_sign_up") > chance("gone-1", "probability_of_sign_up"));
    let back = shop.database.number("SELECT segment_id FROM segments WHERE key = 'sign-up-likely-back'");
    let in_ready = format!("SELECT count(*) FROM segment_members WHERE segment_id = {back}");
    assert_eq!(shop.database.number(&in_ready), 30);
    // Why, in words.
    let id = shop.profile_id("visitor_id=regular-1");
    let told =
        succeeds(&tests::segments(&shop.database, &["segment", "explain", "back", "--person", "visitor_id=regular-1"]));
    assert!(told.contains("probability of return is"), "{told}");
    // Whoever signs up is asked no more, whether or not the models have been made again.
    assert!(shop.members("may-sign-up").contains(&id));
    say(&shop, &[("regular-1", 0, sign_up("regular-1"))]);
    until("who signed up to be out", SOON, || (!shop.members("may-sign-up").contains(&id)).then_some(()));
    shop.is_the_same_rebuilt();
}
