//! Each kind of file from the command line: what is stored of it, and what its preview says.

use super::{Folder, Path, Shop, fs, segments, succeeds};
use serde_json::json;

/// Imports a text as a file of a kind.
pub(super) fn imports(shop: &Shop, kind: &str, text: &str, more: &[&str]) -> String {
    let folder = Folder::make();
    let file = folder.path().join("file.csv");
    fs::write(&file, text).expect("a file");
    let rejected = folder.path().join("rejected.csv");
    let path = |path: &Path| path.to_str().expect("a path of text").to_owned();
    let (file, rejected) = (path(&file), path(&rejected));
    let mut line = vec!["import", kind, "--site", "shop", &file, "--rejected", &rejected];
    line.extend(more);
    succeeds(&segments(&shop.database, &line)).replace(&rejected, "REJECTED")
}

const SHOPIFY: &str = "\u{feff}Name,Email,Financial Status,Currency,Subtotal,Shipping,Taxes,Total,Discount Code,Discount Amount,\
Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Cancelled at,Refunded Amount,Id\r
#1001,mia@mail.example,paid,EUR,40.00,5.00,7.50,45.00,MAY,2.00,2026-01-05 10:00:00 +0100,1,Kettle,30.00,K-1,,0.00,9001\r
#1001,mia@mail.example,,,,,,,,,,2,Filter,5.00,F-1,,,\r
#1002,mia@mail.example,refunded,EUR,20.00,0.00,3.00,20.00,,,2026-01-06 10:00:00 +0100,1,Cup,20.00,C-1,,20.00,9002\r
#1003,zoe@mail.example,voided,EUR,9.00,0.00,1.00,9.00,,,2026-01-07 10:00:00 +0100,1,Spoon,9.00,S-1,2026-01-08 09:00:00 +0100,,9003\r
";

#[test]
fn shopifys_orders_come_with_products_refunds_and_cancellations() {
    let shop = Shop::open();
    let first = imports(&shop, "orders", SHOPIFY, &[]);
    assert_eq!(first.trim(), "read 4 stored 5 duplicate 0 rejected 0", "three orders, a refund, a cancellation");
    assert_eq!(imports(&shop, "orders", SHOPIFY, &[]).trim(), "read 4 stored 0 duplicate 5 rejected 0");
    shop.is_projected();
    let mia = shop.profile("email=mia@mail.example");
    assert_eq!(mia["facts"]["revenue_minor"], 4_500, "{mia}");
    assert_eq!(shop.profile("email=zoe@mail.example")["facts"]["revenue_minor"], 0, "a cancelled order counts not");
    let orders =
        shop.database.rows("SELECT order_id AS value, total_minor, refunded_minor, counted FROM orders ORDER BY 1");
    assert_eq!(
        orders,
        [
            json!({ "value": "9001", "total_minor": 4_500, "refunded_minor": 0, "counted": true }),
            json!({ "value": "9002", "total_minor": 2_000, "refunded_minor": 2_000, "counted": true }),
            json!({ "value": "9003", "total_minor": 900, "refunded_minor": 0, "counted": false }),
        ]
    );
    let placed = shop.database.rows("SELECT properties FROM events WHERE properties ->> 'order_id' = '9001'");
    let said = &placed[0]["properties"];
    assert_eq!(said["products"].as_array().map(Vec::len), Some(2), "{said}");
    assert_eq!(said["products"][1], json!({ "name": "Filter", "price": "5.00", "quantity": "2", "sku": "F-1" }));
    assert_eq!((&said["discount"], &said["shipping"], &said["tax"]), (&json!("2.00"), &json!("5.00"), &json!("7.50")));
    // A later export tells that more was given back: the larger sum counts, once.
    let more = SHOPIFY.replace("K-1,,0.00,9001", "K-1,,10.00,9001");
    assert_eq!(imports(&shop, "orders", &more, &[]).trim(), "read 4 stored 1 duplicate 5 rejected 0");
    let most = SHOPIFY.replace("K-1,,0.00,9001", "K-1,,12.50,9001");
    assert_eq!(imports(&shop, "orders", &most, &[]).trim(), "read 4 stored 1 duplicate 5 rejected 0");
    assert_eq!(imports(&shop, "orders", &more, &[]).trim(), "read 4 stored 0 duplicate 6 rejected 0");
    assert_eq!(shop.profile("email=mia@mail.example")["facts"]["revenue_minor"], 3_250);
    shop.is_the_same_rebuilt();
}

#[test]
fn continental_numbers_and_ndjson_are_orders_too() {
    let shop = Shop::open();
    let german = "Kundennummer;Bestelldatum;Gesamtbetrag;Bestellnummer\n\
        k1;05.01.2026 09:30;1.234,50 €;B1\nk1;06.01.2026;1.000;B2\nk2;07.01.2026;12,5;B3\n";
    assert_eq!(imports(&shop, "orders", german, &[]).trim(), "read 3 stored 3 duplicate 0 rejected 0");
    assert_eq!(shop.profile("user_id=k1")["facts"]["revenue_minor"], 223_450);
    let lines = [
        json!({ "id": "n1", "created_at": "2026-01-05T10:00:00Z", "total": 30.5, "customer": { "id": "k3" },
            "line_items": [{ "title": "Cup", "price": 15.25, "quantity": 2 }] }),
        json!({ "id": "n2", "created_at": 1_767_600_000, "total": "7", "customer": { "id": "k3" } }),
    ];
    let text = format!("{}\n{}\nnot json\n", lines[0], lines[1]);
    let told = imports(&shop, "orders", &text, &["--map", "customer_id=customer.id"]);
    assert!(told.starts_with("read 3 stored 2 duplicate 0 rejected 1\n"), "{told}");
    assert_eq!(shop.profile("user_id=k3")["facts"]["revenue_minor"], 3_750);
    let said = shop.database.rows("SELECT properties FROM events WHERE properties ->> 'order_id' = 'n1'");
    assert_eq!(said[0]["properties"]["products"], json!([{ "name": "Cup", "price": "15.25", "quantity": "2" }]));
}

#[test]
fn customers_have_traits_consent_and_the_columns_that_their_owner_keeps() {
    let shop = Shop::open();
    let text = "Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Default Address City,Phone,Birthday,\
        Created at,Updated at,Loyalty Plan\n\
        c1,Mia,Example,Mia@Mail.example,yes,Linz,+43 660 1234567,1990-02-03,2025-03-04T10:00:00Z,2025-05-01T10:00:00Z,gold\n\
        ,Zoe,,zoe@mail.example,no,Graz,,,2025-03-05,2025-03-05,\n\
        ,,,,yes,Wien,,,,,\n\
        c4,Eva,,eva@mail.example,perhaps,,,,,,\n";
    let map = ["--map", "trait:plan=Loyalty Plan"];
    let told = imports(&shop, "customers", text, &map);
    assert!(told.starts_with("read 4 stored 2 duplicate 0 rejected 2\n"), "{told}");
    let mia = shop.profile("email=mia@mail.example");
    let traits = &mia["facts"]["traits"];
    assert_eq!(
        (&traits["firstName"], &traits["city"], &traits["plan"]),
        (&json!("Mia"), &json!("Linz"), &json!("gold"))
    );
    assert_eq!((&traits["email_opt_in"], &traits["birthday"]), (&json!(true), &json!("1990-02-03")));
    assert_eq!(shop.profile("user_id=c1"), mia, "id, address and phone are one person's");
    assert_eq!(shop.profile("email=zoe@mail.example")["facts"]["traits"]["email_opt_in"], json!(false));
    assert!(imports(&shop, "customers", text, &map).starts_with("read 4 stored 0 duplicate 2 rejected 2\n"));
    // A later file without any date has the last word, and is known again.
    let later = "customer_id,city\nc1,Wien\n";
    assert_eq!(imports(&shop, "customers", later, &[]).trim(), "read 1 stored 1 duplicate 0 rejected 0");
    assert_eq!(imports(&shop, "customers", later, &[]).trim(), "read 1 stored 0 duplicate 1 rejected 0");
    assert_eq!(shop.profile("user_id=c1")["facts"]["traits"]["city"], json!("Wien"));
    shop.is_the_same_rebuilt();
}

#[test]
fn what_happened_to_newsletters_has_the_words_of_webhooks() {
    let shop = Shop::open();
    let text = "Email,Metric,Timestamp,Campaign Name,URL\n\
        mia@mail.example,Received Email,2026-01-05T10:00:00Z,May,\n\
        mia@mail.example,Opened Email,2026-01-05T10:05:00Z,May,\n\
        mia@mail.example,Clicked Email,2026-01-05T10:06:00Z,May,https://shop.example/a?token=secret\n\
        mia@mail.example,Unsubscribed,2026-01-05T10:07:00Z,May,\n\
        zoe@mail.example,Danced,2026-01-05T10:07:00Z,May,\n";
    let told = imports(&shop, "newsletter", text, &[]);
    assert!(told.starts_with("read 5 stored 5 duplicate 0 rejected 1\n"), "an unsubscription is a trait, too: {told}");
    assert!(imports(&shop, "newsletter", text, &[]).starts_with("read 5 stored 0 duplicate 5 rejected 1\n"));
    let did = shop.did("email=mia@mail.example");
    for name in ["Email Delivered", "Email Opened", "Email Link Clicked", "Unsubscribed", "identify"] {
        assert_eq!(did.get(name), Some(&1), "{did:?}");
    }
    let clicked = shop.database.rows("SELECT properties FROM events WHERE properties ? 'link_url'");
    assert_eq!(clicked[0]["properties"], json!({ "campaign_name": "May", "link_url": "shop.example/a" }));
    assert_eq!(shop.profile("email=mia@mail.example")["facts"]["traits"]["email_opt_in"], json!(false));
    let whole = "E-Mail;Datum\nzoe@mail.example;2026-01-05 10:00\n";
    let told = imports(&shop, "newsletter", whole, &["--event", "opened"]);
    assert_eq!(told.trim(), "read 1 stored 1 duplicate 0 rejected 0");
    assert_eq!(shop.brought("import").get("Email Opened"), Some(&2));
}

#[test]
fn a_preview_names_a_wrong_mapping_and_stores_nothing() {
    let shop = Shop::open();
    let mut text = "email,date,much,who\n".to_owned();
    for n in 0..50 {
        text += &format!("p{n}@mail.example,2026-01-05,{n}.50,name {n}\n");
    }
    text += "broken,2026-02-30,1.00,x\n";
    let wrong = imports(&shop, "orders", &text, &["--preview", "--map", "total=who"]);
    assert!(wrong.contains("doubtful: Total: the column holds no number in 51 of 51 lines"), "{wrong}");
    assert!(wrong.contains("lines that would be rejected: 51 of 51"), "{wrong}");
    let missing = imports(&shop, "orders", &text, &["--preview"]);
    assert!(missing.contains("missing: no column for total\n"), "{missing}");
    let right = imports(&shop, "orders", &text, &["--preview", "--map", "total=much"]);
    assert!(right.contains("columns that are left: who") && !right.contains("doubtful"), "{right}");
    assert!(right.contains("Order Completed of email p0@mail.example at 2026-01-05 00:00:00"), "{right}");
    assert!(right.contains("lines that would be rejected: 1 of 51\n  line 52: "), "{right}");
    assert_eq!(shop.stored(), 0);
    assert_eq!(shop.database.number("SELECT count(*) FROM identities"), 0);
}

#[test]
fn files_that_are_none_are_told_what_to_do() {
    let shop = Shop::open();
    let folder = Folder::make();
    for (bytes, says) in [
        (&b"\xff\xfee\0m\0"[..], "UTF-16"),
        (b"PK\x03\x04rest", "Excel"),
        (b"[{\"email\":1}]", "NDJSON"),
        (b"", "header"),
        (
            b"email,date,total\na@b.example,2026-01-05,1\nb@b.example,\"2026",
            "1 valid line, then a quote without an end",
        ),
    ] {
        let file = folder.path().join("file.csv");
        let mut bytes = bytes.to_vec();
        let is_endless = says.contains("quote");
        bytes.extend(std::iter::repeat_n(b'x', if is_endless { 3 << 20 } else { 0 }));
        fs::write(&file, bytes).expect("a file");
        let line = ["import", "orders", "--site", "shop", file.to_str().expect("a path of text")];
        let said = super::fails(&segments(&shop.database, &line));
        assert!(said.contains(if is_endless { "quote" } else { says }), "{says}: {said}");
    }
}
