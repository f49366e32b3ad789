//! Files that are imported.

use super::fixtures::{HOSTILE, ago, now, site};
use domain::report::{
    Import, ImportFault, ImportField, ImportKind, ImportPreview, ImportReport, ImportState, ImportedEvent, Imports,
};

fn import(import_id: i64, state: ImportState) -> Import {
    Import {
        import_id,
        kind: ImportKind::Orders,
        file: "orders-2025.csv".into(),
        state,
        created_at: ago(40),
        created_by: "anna@shop.example".into(),
        ended_at: state.is_over().then(|| ago(10)),
        size_bytes: 41_000_000,
        done_bytes: 12_300_000,
        lines: 240_000,
        stored: 238_500,
        duplicate: 1_200,
        rejected: 300,
        lines_per_s: 9_400,
        problem: None,
    }
}

pub(crate) fn list() -> Imports {
    let small = Import { size_bytes: 3_000, kind: ImportKind::Customers, ..import(3, ImportState::Ready) };
    let broken = Import { problem: Some("line 7 is longer than 1 MiB".into()), ..import(1, ImportState::Failed) };
    Imports { site: site(), now: now(), rows: vec![small, import(2, ImportState::Running), broken], limit_mib: 512 }
}

pub(crate) fn list_empty() -> Imports {
    Imports { rows: Vec::new(), ..list() }
}

pub(crate) fn list_hostile() -> Imports {
    let row = Import { file: HOSTILE.into(), created_by: HOSTILE.into(), ..import(2, ImportState::Paused) };
    Imports { rows: vec![row], ..list() }
}

pub(crate) fn report(state: ImportState) -> ImportReport {
    let mut import = import(2, state);
    match state {
        ImportState::Ready | ImportState::Uploading => {
            import = Import { done_bytes: 0, lines: 0, stored: 0, duplicate: 0, rejected: 0, ..import };
        }
        ImportState::Done => import.done_bytes = import.size_bytes,
        ImportState::Failed => import.problem = Some("line 7 is longer than 1 MiB".into()),
        ImportState::Running | ImportState::Paused | ImportState::Cancelled | ImportState::Expired => {}
    }
    let waiting_events = if state == ImportState::Running { 12_000 } else { 0 };
    ImportReport { site: site(), now: now(), kept_lines: import.rejected.min(10_000), waiting_events, import }
}

pub(crate) fn report_hostile() -> ImportReport {
    let mut report = report(ImportState::Ready);
    let import = report.import.clone();
    report.import = Import {
        file: HOSTILE.into(),
        created_by: HOSTILE.into(),
        problem: Some(HOSTILE.into()),
        kind: ImportKind::Customers,
        ..import
    };
    report
}

fn field(name: &str, label: &str, column: Option<usize>, needed: bool, example: &str) -> ImportField {
    let examples = if example.is_empty() { Vec::new() } else { vec![example.into()] };
    ImportField { name: name.into(), label: label.into(), column, needed, examples }
}

pub(crate) fn preview() -> ImportPreview {
    ImportPreview {
        format: "CSV with commas".into(),
        columns: ["Name", "Email", "Total", "Created at", "Notes"].map(str::to_owned).into(),
        fields: vec![
            field("customer_id", "Customer id", None, false, ""),
            field("email", "E-mail address", Some(1), false, "mia@mail.example"),
            field("ordered_at", "Ordered at", Some(3), true, "2025-01-05 10:00:00 +0100"),
            field("total", "Total", Some(2), true, "45.00"),
            field("order_id", "Order id", Some(0), false, "#1001"),
        ],
        traits: Vec::new(),
        left: vec![4],
        event: None,
        from: None,
        missing: Vec::new(),
        doubts: Vec::new(),
        lines: 1_000,
        events: vec![ImportedEvent {
            line: 2,
            at: ago(500_000),
            what: "Order Completed".into(),
            who: "email mia@mail.example".into(),
            says: r##"{"currency":"EUR","order_id":"#1001","total":"45.00"}"##.into(),
        }],
        faults: vec![ImportFault { line: 17, reason: "ordered_at \"soon\" is no date; write 2026-11-23".into() }],
        faulty_lines: 1,
    }
}

/// One that cannot be started: a column is not there and another is not what it was taken for.
pub(crate) fn preview_wrong() -> ImportPreview {
    let mut wrong = preview();
    wrong.fields[2].column = None;
    wrong.fields[3].column = Some(1);
    wrong.missing = vec!["no column for ordered_at".into()];
    wrong.doubts = vec!["Total: the column holds no number in 980 of 1000 lines; is another column meant?".into()];
    ImportPreview { events: Vec::new(), faults: Vec::new(), faulty_lines: 0, ..wrong }
}

pub(crate) fn preview_hostile() -> ImportPreview {
    let text = || HOSTILE.to_owned();
    ImportPreview {
        format: text(),
        columns: vec![text(), text(), text()],
        fields: vec![ImportField { examples: vec![text()], ..field("email", "E-mail address", Some(0), true, "") }],
        traits: vec![(1, text())],
        left: vec![2],
        event: Some(text()),
        from: Some(text()),
        missing: vec![text()],
        doubts: vec![text()],
        lines: 3,
        events: vec![ImportedEvent { line: 2, at: ago(10), what: text(), who: text(), says: text() }],
        faults: vec![ImportFault { line: 3, reason: text() }],
        faulty_lines: 1,
    }
}
