use super::*;
use proptest::prelude::*;

fn traffic(source: &str, campaign: &str, channel: &str, sessions: u64, revenue_minor: i64) -> TrafficRow {
    let brought = Brought { sessions, orders: 1, revenue_minor, first_orders: 1 };
    TrafficRow { source: source.into(), campaign: campaign.into(), channel: channel.into(), brought }
}

fn spend(source: &str, campaign: &str, currency: Currency, minor: i64, clicks: u64) -> SpendRow {
    let cost = Money { minor, currency };
    SpendRow { source: source.into(), campaign: campaign.into(), cost, clicks, impressions: clicks * 10 }
}

#[test]
fn a_cost_is_matched_whatever_the_case_and_what_has_no_match_is_told() {
    let traffic = [traffic("google", "brand", "paid_search", 10, 9_000), traffic("google", "brand", "cross", 2, 0)];
    let costs = [
        spend("Google", " Brand ", Currency::EUR, 3_000, 20),
        spend("google", "brand", Currency::USD, 500, 5),
        spend("meta", "Autumn", Currency::EUR, 700, 7),
    ];
    let (campaigns, unmatched) = match_campaigns(&traffic, &costs, Currency::EUR);
    assert_eq!(campaigns.len(), 1);
    let brand = &campaigns[0];
    assert_eq!((brand.channel.as_str(), brand.brought.sessions, brand.campaign.as_str()), ("paid_search", 12, "Brand"));
    assert_eq!(brand.spent.cost_minor, Some(3_000));
    assert_eq!(brand.spent.others, [Money { minor: 500, currency: Currency::USD }], "beside it, never added");
    assert_eq!(brand.spent.per_click_minor(), Some(150), "by the clicks of that currency");
    assert_eq!(brand.spent.per_first_order_minor(&brand.brought), Some(1_500));
    assert_eq!(brand.spent.return_on(&brand.brought), Some(3.0));
    assert_eq!(unmatched.len(), 1);
    assert_eq!((unmatched[0].campaign.as_str(), unmatched[0].spent.cost_minor), ("Autumn", Some(700)));
}

#[test]
fn without_cost_clicks_or_first_orders_there_is_no_ratio() {
    let brought = Brought::default();
    assert_eq!(Spent::default().per_click_minor(), None);
    assert_eq!(Spent::default().return_on(&brought), None);
    let spent = Spent { cost_minor: Some(0), ..Spent::default() };
    assert_eq!(
        (spent.per_click_minor(), spent.per_first_order_minor(&brought), spent.return_on(&brought)),
        (None, None, None)
    );
}

#[test]
fn positions_are_averaged_over_impressions() {
    let counts = SearchCounts { clicks: 1, impressions: 4, position_sum: 10.0 };
    assert_eq!((counts.position(), counts.click_rate()), (Some(2.5), Some(0.25)));
    assert_eq!(SearchCounts::default().position(), None);
}

proptest! {
    #[test]
    fn no_cost_is_lost_or_counted_twice(
        costs in prop::collection::vec(("[a-cA-C]", "[x-zX-Z]", prop::bool::ANY, 0..1_000_i64), 0..12),
        seen in prop::collection::vec(("[a-c]", "[x-z]"), 0..6),
    ) {
        let currency = |own| if own { Currency::EUR } else { Currency::USD };
        let costs: Vec<SpendRow> =
            costs.iter().map(|(source, campaign, own, minor)| spend(source, campaign, currency(*own), *minor, 1)).collect();
        let seen: Vec<TrafficRow> = seen.iter().map(|(source, campaign)| traffic(source, campaign, "c", 1, 0)).collect();
        let (campaigns, unmatched) = match_campaigns(&seen, &costs, Currency::EUR);
        let mut all = Spent::default();
        campaigns.iter().map(|row| &row.spent).chain(unmatched.iter().map(|row| &row.spent)).for_each(|one| all.add(one));
        let of = |own: Currency| costs.iter().filter(|row| row.cost.currency == own).map(|row| row.cost.minor).sum::<i64>();
        prop_assert_eq!(all.cost_minor.unwrap_or(0), of(Currency::EUR));
        prop_assert_eq!(all.others.iter().map(|other| other.minor).sum::<i64>(), of(Currency::USD));
        prop_assert_eq!(all.clicks, costs.len() as u64);
        let visits: u64 = campaigns.iter().map(|row| row.brought.sessions).sum();
        prop_assert_eq!(visits, seen.len() as u64);
    }
}
