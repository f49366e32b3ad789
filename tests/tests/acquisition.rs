//! Where people come from and what that cost, from the database to the page and its files.

use serde_json::{Value, json};
use tests::web::Owner;
use tests::{Shop, shop};

const EMAIL: &str = "owner@shop.example";
const PASSWORD: &str = "a long enough password";

/// A file's lines as maps of its columns.
fn file(owner: &Owner, path: &str) -> Vec<Value> {
    let text = owner.reads(path);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let row = |row: csv::StringRecord| {
        header.iter().zip(row.iter()).map(|(key, value)| (key.to_owned(), value.into())).collect()
    };
    reader.records().map(|record| Value::Object(row(record.expect("a line")))).collect()
}

fn spend(shop: &Shop, source: &str, campaign: &str, currency: &str, minor: i64, clicks: i64) {
    shop.database.run(&format!(
        "INSERT INTO ad_spend SELECT site_id, current_date, '{source}', '{campaign}', '{currency}', 'import:x', {minor}, {clicks}, 1000
         FROM sites WHERE name = 'shop'"
    ));
}

#[test]
fn costs_meet_what_their_campaigns_brought() {
    let shop = Shop::open();
    shop::add_user(&shop.database, EMAIL, PASSWORD);
    for (who, total) in [("mia", 30.0), ("tom", 20.0)] {
        shop.visitor(who)
            .views("/?utm_source=Google&utm_medium=cpc&utm_campaign=Brand-Q4")
            .tracks("Order Completed", json!({ "order_id": who, "total": total, "currency": "EUR" }));
    }
    // Came by the campaign and ordered nothing; came without one and ordered.
    shop.visitor("ida").views("/?utm_source=google&utm_medium=cpc&utm_campaign=brand-q4");
    shop.visitor("pia").views("/").tracks("Order Completed", json!({ "order_id": "p", "total": 9, "currency": "EUR" }));
    spend(&shop, "google", "BRAND-q4", "EUR", 2_500, 50);
    spend(&shop, "google", "brand-q4", "USD", 700, 7);
    spend(&shop, "meta", "autumn", "EUR", 900, 3);
    shop.is_projected();
    let owner = Owner::logs_in(&shop.server, EMAIL, PASSWORD);
    let site = shop.keys.site_id;
    let campaigns = file(&owner, &format!("/s/{site}/acquisition/campaigns.csv?period=7d"));
    assert_eq!(campaigns.len(), 1, "{campaigns:?}");
    let brand = &campaigns[0];
    let is = |row: &Value, column: &str, value: &str| assert_eq!(row[column], value, "{column} of {row}");
    for (column, value) in [
        ("sessions", "3"),
        ("orders", "2"),
        ("revenue_EUR", "50.00"),
        ("first_orders", "2"),
        ("cost_EUR", "25.00"),
        ("cost_in_other_currencies", "7.00 USD"),
        ("clicks", "57"),
        ("cost_per_click_EUR", "0.50"),
        ("cost_per_first_order_EUR", "12.50"),
        ("return_on_ad_spend", "2"),
        ("channel", "paid_search"),
    ] {
        is(brand, column, value);
    }
    let channels = file(&owner, &format!("/s/{site}/acquisition/channels.csv?period=7d"));
    let paid = channels.iter().find(|row| row["channel"] == "Paid search").expect("the channel");
    is(paid, "cost_EUR", "25.00");
    is(paid, "first_orders", "2");
    let direct = channels.iter().find(|row| row["channel"] == "Direct").expect("the channel");
    is(direct, "cost_EUR", "");
    is(direct, "first_orders", "1");
    let unmatched = file(&owner, &format!("/s/{site}/acquisition/unmatched.csv?period=7d"));
    assert_eq!((unmatched.len(), &unmatched[0]["campaign"]), (1, &json!("autumn")));
    let page = owner.reads(&format!("/s/{site}/acquisition?period=7d"));
    assert!(page.contains("Costs without a visit") && page.contains("No search console is connected"), "{page}");
    assert!(owner.gets(&format!("/s/{site}/acquisition/nothing.csv")).status == 404);
}

#[test]
fn searches_are_compared_by_equal_days_and_files_give_way_to_what_is_connected() {
    let shop = Shop::open();
    shop::add_user(&shop.database, EMAIL, PASSWORD);
    let put = |days_ago: i32, query: &str, source: &str, clicks: i64, position: f64| {
        shop.database.run(&format!(
            "INSERT INTO search_performance (site_id, day, query, page, country, device, source_key, clicks, impressions, position_sum)
             SELECT site_id, current_date - {days_ago}, '{query}', '', '', '', '{source}', {clicks}, 100, 100 * {position}
             FROM sites WHERE name = 'shop'"
        ));
    };
    // Known until two days ago: of the seven days before, two are left out as well.
    put(2, "kettle", "search-console:x", 10, 4.0);
    put(2, "kettle", "import:file", 99, 1.0);
    put(3, "kettle", "import:file", 5, 8.0);
    put(9, "kettle", "search-console:x", 3, 5.0);
    put(7, "kettle", "search-console:x", 1_000, 5.0);
    let owner = Owner::logs_in(&shop.server, EMAIL, PASSWORD);
    let rows = file(&owner, &format!("/s/{}/acquisition/queries.csv?period=7d", shop.keys.site_id));
    assert_eq!(rows.len(), 1, "{rows:?}");
    let told = ["clicks", "impressions", "position", "clicks_before"].map(|column| rows[0][column].as_str().unwrap());
    assert_eq!(told, ["15", "200", "6", "3"]);
}

#[test]
fn what_former_tools_counted_is_told_of_days_before_the_first_own_one_alone() {
    let shop = Shop::open();
    shop::add_user(&shop.database, EMAIL, PASSWORD);
    shop.visitor("mia").views("/");
    shop.is_projected();
    for days_ago in [0, 3] {
        shop.database.run(&format!(
            "INSERT INTO web_history (site_id, day, system, dimension, value, visitors, visits, views)
             SELECT site_id, current_date - {days_ago}, 'matomo', 'total', '', 40, NULL, 90 FROM sites"
        ));
    }
    let owner = Owner::logs_in(&shop.server, EMAIL, PASSWORD);
    let site = shop.keys.site_id;
    let rows = file(&owner, &format!("/s/{site}/acquisition/history.csv?period=7d"));
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        (&rows[0]["counted_by"], &rows[0]["visitors"], &rows[0]["visits"]),
        (&json!("matomo"), &json!("40"), &json!(""))
    );
    assert!(owner.reads(&format!("/s/{site}/acquisition?period=7d")).contains("They are added to nothing"));
    assert!(owner.reads(&format!("/s/{site}/acquisition?from=2020-01-01&to=2020-01-02")).contains("Show these days"));
}
