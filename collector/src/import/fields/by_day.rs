//! Fields of what others count by day. The headings are those of the exports of Google Ads, Meta Ads, Microsoft
//! Advertising, Google's Search Console and Analytics, Plausible and Matomo.

use super::{Field, Form, field, needed};

const DAY: Field = needed(
    "date",
    "Day",
    Form::Day,
    &["date", "day", "reporting_starts", "gregorian_date", "time_period", "datum", "tag"],
);

#[rustfmt::skip]
pub(super) const AD_SPEND: &[Field] = &[
    DAY,
    field("source", "Source (utm_source)", Form::Text, &["source", "utm_source", "channel", "platform"]),
    needed("campaign", "Campaign (utm_campaign)", Form::Text, &[
        "utm_campaign", "campaign", "campaign_name", "kampagne", "kampagnenname",
    ]),
    needed("cost", "Cost", Form::Amount, &[
        "cost", "spend", "amount_spent", "amount_spent_eur", "amount_spent_usd", "amount_spent_gbp", "amount_spent_chf",
        "amount_spent_cad", "amount_spent_aud", "amount_spent_sek", "amount_spent_nok", "amount_spent_dkk",
        "amount_spent_pln", "kosten", "ausgegebener_betrag_eur",
    ]),
    field("currency", "Currency", Form::Currency, &[
        "currency", "currency_code", "account_currency", "account_currency_code", "währungscode", "währung",
    ]),
    field("clicks", "Clicks", Form::Count, &["clicks", "link_clicks", "clicks_all", "interactions", "klicks"]),
    field("impressions", "Impressions", Form::Count, &["impressions", "impr", "impressionen"]),
    field("until", "Last day of the line", Form::Day, &["reporting_ends", "end_date"]),
];

#[rustfmt::skip]
pub(super) const SEARCH_CONSOLE: &[Field] = &[
    DAY,
    field("query", "Search query", Form::Text, &["query", "top_queries", "queries", "search_query", "häufigste_suchanfragen"]),
    field("page", "Page", Form::Text, &["page", "top_pages", "pages", "landing_page", "url", "die_häufigsten_seiten"]),
    needed("clicks", "Clicks", Form::Count, &["clicks", "url_clicks", "klicks"]),
    needed("impressions", "Impressions", Form::Count, &["impressions", "impressionen"]),
    needed("position", "Average position", Form::Amount, &["position", "average_position", "avg_position"]),
];

#[rustfmt::skip]
pub(super) const WEB_HISTORY: &[Field] = &[
    DAY,
    field("page", "Page", Form::Text, &["page", "page_path", "page_path_and_screen_class", "page_path_query_string"]),
    field("entry_page", "Entry page", Form::Text, &["entry_page", "landing_page"]),
    field("exit_page", "Exit page", Form::Text, &["exit_page"]),
    field("source", "Source", Form::Text, &[
        "source", "session_source", "session_source_medium", "first_user_source", "first_user_source_medium",
        "session_primary_channel_group_default_channel_group", "session_default_channel_group",
    ]),
    field("country", "Country", Form::Text, &["country", "country_id"]),
    field("device", "Device", Form::Text, &["device", "device_category", "device_type"]),
    field("browser", "Browser", Form::Text, &["browser"]),
    field("operating_system", "Operating system", Form::Text, &["operating_system", "os"]),
    field("visitors", "Visitors", Form::Count, &[
        "visitors", "total_users", "active_users", "users", "unique_visitors", "nb_uniq_visitors", "nutzer",
        "gesamtnutzer",
    ]),
    field("visits", "Visits", Form::Count, &["visits", "sessions", "entrances", "nb_visits", "sitzungen"]),
    field("views", "Views", Form::Count, &[
        "pageviews", "views", "screen_page_views", "page_views", "nb_pageviews", "aufrufe",
    ]),
    field("bounces", "Bounces", Form::Count, &["bounces", "bounce_count"]),
    field("engaged_visits", "Engaged sessions", Form::Count, &["engaged_sessions"]),
    field("bounce_rate", "Bounce rate", Form::Amount, &["bounce_rate", "absprungrate"]),
    field("visit_seconds", "Seconds of all visits", Form::Amount, &["visit_duration", "sum_visit_length"]),
    field("average_seconds", "Seconds of a visit", Form::Amount, &[
        "average_session_duration", "avg_session_duration", "avg_time_on_site",
    ]),
    field("events", "Events", Form::Count, &["events", "event_count"]),
];
