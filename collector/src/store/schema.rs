//! Tables that diesel's query builder is used on; the others are met in plain SQL.

diesel::table! {
    /// See the migrations.
    sites (site_id) {
        site_id -> Integer,
        name -> Text,
        domains -> Array<Text>,
        currency -> Text,
        time_zone -> Text,
        write_key -> Text,
        secret_key_hash -> Binary,
        tag_consent -> Text,
        tag_wait -> Text,
        browser_orders -> Text,
        trusted_orders_seen -> Bool,
        segments_revision -> BigInt,
        bots -> Text,
        bot_limit -> SmallInt,
        identity_secret -> Text,
        signed_identify -> Bool,
        plan -> Jsonb,
    }
}

diesel::table! {
    /// See the migrations.
    users (user_id) {
        user_id -> Integer,
        email -> Text,
        password_hash -> Text,
        administrator -> Bool,
    }
}

diesel::table! {
    /// See the migrations.
    site_members (site_id, user_id) {
        site_id -> Integer,
        user_id -> Integer,
    }
}

/// `events` and the table it is staged in have the same columns, in the order in which `store::events` writes them.
macro_rules! events_like {
    ($name:ident) => {
        diesel::table! {
            /// See the migrations.
            $name (site_id, identity_id, event_id) {
                identity_id -> BigInt,
                occurred_at -> Timestamptz,
                site_id -> Integer,
                kind -> SmallInt,
                flags -> SmallInt,
                event_id -> Uuid,
                view_id -> Nullable<Uuid>,
                name_id -> Nullable<Integer>,
                page_id -> Nullable<Integer>,
                title_id -> Nullable<Integer>,
                referrer_id -> Nullable<Integer>,
                campaign_id -> Nullable<Integer>,
                agent_id -> Nullable<Integer>,
                device_id -> Nullable<Integer>,
                revision -> Nullable<Integer>,
                engaged_ms -> Nullable<Integer>,
                clicks -> Nullable<Integer>,
                max_scroll_pct -> Nullable<SmallInt>,
                properties -> Nullable<Jsonb>,
                source_id -> Nullable<Integer>,
                place_id -> Nullable<Integer>,
                software_id -> Nullable<Integer>,
                bot_score -> Nullable<SmallInt>,
                email_class -> Nullable<SmallInt>,
            }
        }
    };
}

events_like!(events);
events_like!(events_stage);

diesel::joinable!(site_members -> sites (site_id));
diesel::joinable!(site_members -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(sites, site_members, users);
