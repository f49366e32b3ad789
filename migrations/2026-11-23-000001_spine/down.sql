DROP TABLE orders, sessions, profiles, histories, rejections, outcomes, journal_cursors, journal, message_ids, events,
    terms, salts, measured_loads, identity_ledger, identities, login_failures, user_sessions, site_members, users, sites;
