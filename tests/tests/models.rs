//! `segments model`: predictions from a file, without a database.

use serde_json::Value;
use std::fs;
use std::process::Output;
use tests::cluster::Folder;
use tests::server::{command, fails, succeeds};

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
