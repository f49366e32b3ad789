use super::*;
use proptest::prelude::*;

fn touch(url: &str, referrer: &str) -> Touch {
    let landing = read_url(url).unwrap();
    let referrer = read_referrer(referrer, &["shop.example".into()], landing.host());
    channel(landing.campaign.as_ref(), referrer.as_deref())
}

/// What a landing on `https://shop.example/?<query>` is taken for.
fn by_query(query: &str) -> Channel {
    touch(&format!("https://shop.example/?{query}"), "").channel
}

fn by_referrer(referrer: &str) -> (Channel, String) {
    let touch = touch("https://shop.example/", referrer);
    (touch.channel, touch.source)
}

#[test]
fn a_visit_without_evidence_is_direct() {
    assert_eq!(touch("https://shop.example/", ""), Touch::direct());
    assert_eq!(channel(Some(&Campaign::default()), None), Touch::direct());
    assert_eq!(by_query("utm_source=(direct)&utm_medium=(none)"), Channel::Direct);
    assert!(Touch::direct().is_direct());
}

#[test]
fn referrers_name_search_social_video_shopping_mail_or_another_site() {
    let expected = [
        ("https://www.google.com/", Channel::OrganicSearch, "google"),
        ("https://www.google.co.uk/search?q=shoes", Channel::OrganicSearch, "google"),
        ("https://google.de", Channel::OrganicSearch, "google"),
        ("android-app://com.google.android.googlequicksearchbox/", Channel::OrganicSearch, "google"),
        ("https://duckduckgo.com/", Channel::OrganicSearch, "duckduckgo"),
        ("https://r.search.yahoo.com/x", Channel::OrganicSearch, "yahoo"),
        ("https://l.facebook.com/l.php?u=x", Channel::OrganicSocial, "facebook"),
        ("https://t.co/abc", Channel::OrganicSocial, "x"),
        ("https://out.reddit.com/", Channel::OrganicSocial, "reddit"),
        ("https://m.youtube.com/watch?v=1", Channel::OrganicVideo, "youtube"),
        ("https://www.amazon.co.uk/dp/1", Channel::OrganicShopping, "amazon"),
        ("https://mail.google.com/", Channel::Email, "gmail"),
        ("https://outlook.live.com/", Channel::Email, "outlook"),
        ("https://blog.example/post", Channel::Referral, "blog.example"),
        // Not what they look like at first sight.
        ("https://google.evil.example/", Channel::Referral, "google.evil.example"),
        ("https://google.example/", Channel::Referral, "google.example"),
        ("https://notfacebook.com/", Channel::Referral, "notfacebook.com"),
        ("https://docs.google.com/document", Channel::Referral, "docs.google.com"),
        ("https://facebook.com.evil.example/", Channel::Referral, "facebook.com.evil.example"),
    ];
    for (referrer, channel, source) in expected {
        assert_eq!(by_referrer(referrer), (channel, source.to_owned()), "{referrer}");
    }
    let touch = touch("https://shop.example/", "https://www.bing.com/search?q=x");
    assert_eq!((touch.medium.as_str(), touch.referrer_host.as_deref()), ("organic", Some("www.bing.com")));
}

#[test]
fn campaigns_fall_into_the_groups_that_google_analytics_documents() {
    let expected = [
        ("utm_source=google&utm_medium=cpc", Channel::PaidSearch),
        ("utm_source=bing&utm_medium=PPC", Channel::PaidSearch),
        ("utm_source=facebook&utm_medium=paid_social", Channel::PaidSocial),
        ("utm_source=ig&utm_medium=retargeting", Channel::PaidSocial),
        ("utm_source=vimeo", Channel::OrganicVideo),
        ("utm_source=youtube&utm_medium=cpv", Channel::PaidVideo),
        ("utm_source=amazon&utm_medium=cpc", Channel::PaidShopping),
        ("utm_source=google&utm_medium=cpc&utm_campaign=Shopping+DE", Channel::PaidShopping),
        ("utm_source=google&utm_medium=cpc&utm_campaign=workshop", Channel::PaidSearch),
        ("utm_source=google&utm_medium=cpc&utm_campaign=eshop", Channel::PaidShopping),
        ("utm_source=x&utm_medium=cpc&utm_campaign=cross-network", Channel::CrossNetwork),
        ("utm_source=somewhere&utm_medium=cpm", Channel::Display),
        ("utm_source=somewhere&utm_medium=banner", Channel::Display),
        ("utm_source=somewhere&utm_medium=cpc", Channel::PaidOther),
        ("utm_source=shop.app&utm_medium=x", Channel::OrganicShopping),
        ("utm_source=linkedin.com", Channel::OrganicSocial),
        ("utm_source=somewhere&utm_medium=social", Channel::OrganicSocial),
        ("utm_source=somewhere&utm_medium=video", Channel::OrganicVideo),
        ("utm_source=duckduckgo", Channel::OrganicSearch),
        ("utm_source=somewhere&utm_medium=organic", Channel::OrganicSearch),
        ("utm_source=partner&utm_medium=referral", Channel::Referral),
        ("utm_source=mailchimp&utm_medium=email", Channel::Email),
        ("utm_source=mailchimp&utm_medium=E-Mail", Channel::Email),
        ("utm_source=newsletter", Channel::Email),
        ("utm_source=brevo&utm_medium=newsletter&utm_campaign=new+shop", Channel::Email),
        ("utm_source=awin&utm_medium=affiliate", Channel::Affiliates),
        ("utm_source=podcast&utm_medium=audio", Channel::Audio),
        ("utm_source=sms", Channel::Sms),
        ("utm_source=app&utm_medium=web-push", Channel::MobilePush),
        ("utm_source=somewhere&utm_medium=odd", Channel::Unassigned),
        ("utm_campaign=spring", Channel::Unassigned),
    ];
    for (query, channel) in expected {
        assert_eq!(by_query(query), channel, "{query}");
    }
}

/// The article's table for manual traffic, row by row and each of a row's conditions once: `source`, `medium`, campaign.
/// Source: support.google.com/analytics/answer/9756891, with the row of 13 May 2026.
#[test]
fn each_row_of_the_documented_groups_is_held() {
    let rows: &[(&str, &str, &str, Channel)] = &[
        // Source exactly matches (direct) and medium is one of (not set), (none).
        ("(direct)", "(none)", "", Channel::Direct),
        ("(direct)", "(not set)", "", Channel::Direct),
        // Campaign name contains cross-network.
        ("google", "cpc", "de-cross-network-1", Channel::CrossNetwork),
        // Source is a shopping site, or the campaign matches ^(.*(([^a-df-z]|^)shop|shopping).*)$, and the medium matches
        // ^(.*cp.*|ppc|retargeting|paid.*)$.
        ("ebay.com", "cpc", "", Channel::PaidShopping),
        ("somewhere", "ppc", "spring-shop", Channel::PaidShopping),
        ("somewhere", "paid", "shopping", Channel::PaidShopping),
        // Source is a search site, social site, video site; medium as above.
        ("bing", "cpc", "", Channel::PaidSearch),
        ("google.com", "retargeting", "", Channel::PaidSearch),
        ("linkedin", "paid-social", "", Channel::PaidSocial),
        ("youtube.com", "cpv-cpm", "", Channel::PaidVideo),
        // Medium is one of display, banner, expandable, interstitial, cpm.
        ("somewhere", "display", "", Channel::Display),
        ("somewhere", "banner", "", Channel::Display),
        ("somewhere", "expandable", "", Channel::Display),
        ("somewhere", "interstitial", "", Channel::Display),
        ("somewhere", "cpm", "", Channel::Display),
        // Medium matches ^(.*cp.*|ppc|retargeting|paid.*)$.
        ("somewhere", "cpa", "", Channel::PaidOther),
        ("somewhere", "ppc", "", Channel::PaidOther),
        ("somewhere", "retargeting", "", Channel::PaidOther),
        ("somewhere", "paid", "", Channel::PaidOther),
        // Source is a shopping site, or the campaign matches as above.
        ("etsy.com", "x", "", Channel::OrganicShopping),
        ("somewhere", "x", "the shop", Channel::OrganicShopping),
        // Source is a social site, or medium is one of social, social-network, social-media, sm, social network, social media.
        ("facebook.com", "x", "", Channel::OrganicSocial),
        ("somewhere", "social", "", Channel::OrganicSocial),
        ("somewhere", "social-network", "", Channel::OrganicSocial),
        ("somewhere", "social-media", "", Channel::OrganicSocial),
        ("somewhere", "sm", "", Channel::OrganicSocial),
        ("somewhere", "social network", "", Channel::OrganicSocial),
        ("somewhere", "social media", "", Channel::OrganicSocial),
        // Source is a video site, or medium matches ^(.*video.*)$.
        ("vimeo.com", "x", "", Channel::OrganicVideo),
        ("somewhere", "a-video-b", "", Channel::OrganicVideo),
        // Source is a search site, or medium exactly matches organic.
        ("duckduckgo.com", "x", "", Channel::OrganicSearch),
        ("somewhere", "organic", "", Channel::OrganicSearch),
        // Medium is one of referral, app, link.
        ("somewhere", "referral", "", Channel::Referral),
        ("somewhere", "app", "", Channel::Referral),
        ("somewhere", "link", "", Channel::Referral),
        // Source or medium is one of email, e-mail, e_mail, e mail.
        ("email", "x", "", Channel::Email),
        ("e-mail", "x", "", Channel::Email),
        ("e_mail", "x", "", Channel::Email),
        ("e mail", "x", "", Channel::Email),
        ("somewhere", "email", "", Channel::Email),
        ("somewhere", "e-mail", "", Channel::Email),
        ("somewhere", "e_mail", "", Channel::Email),
        ("somewhere", "e mail", "", Channel::Email),
        // Medium is affiliate.
        ("somewhere", "affiliate", "", Channel::Affiliates),
        // Medium exactly matches audio.
        ("somewhere", "audio", "", Channel::Audio),
        // Source or medium exactly matches sms.
        ("sms", "x", "", Channel::Sms),
        ("somewhere", "sms", "", Channel::Sms),
        // Medium ends with push, or contains mobile or notification, or source exactly matches firebase.
        ("somewhere", "web-push", "", Channel::MobilePush),
        ("somewhere", "a-mobile-b", "", Channel::MobilePush),
        ("somewhere", "a-notification-b", "", Channel::MobilePush),
        ("firebase", "x", "", Channel::MobilePush),
        // Medium is ai-assistant.
        ("chatgpt.com", "ai-assistant", "(ai-assistant)", Channel::AiAssistant),
        // What no row matches.
        ("somewhere", "x", "", Channel::Unassigned),
    ];
    for &(source, medium, name, expected) in rows {
        let (source, medium, name) = (source.to_owned(), medium.to_owned(), name.to_owned());
        let campaign = Campaign { source, medium, name, ..Campaign::default() };
        assert_eq!(channel(Some(&campaign), None).channel, expected, "{campaign:?}");
    }
    let tested = |channel: &Channel| rows.iter().any(|row| row.3 == *channel);
    assert!(Channel::ALL.iter().all(tested), "a channel without a row");
}

#[test]
fn answers_of_ai_assistants_are_a_channel_of_their_own() {
    for (referrer, source) in [
        ("https://chatgpt.com/", "chatgpt"),
        ("https://gemini.google.com/app", "gemini"),
        ("https://claude.ai/", "claude"),
        ("https://www.perplexity.ai/search/x", "perplexity"),
        ("https://copilot.microsoft.com/", "copilot"),
    ] {
        let touch = touch("https://shop.example/", referrer);
        assert_eq!(
            (touch.channel, touch.source.as_str(), touch.medium.as_str()),
            (Channel::AiAssistant, source, "ai-assistant"),
            "{referrer}"
        );
    }
    // ChatGPT puts its name into the links that it shows.
    assert_eq!(by_query("utm_source=chatgpt.com"), Channel::AiAssistant);
    assert_eq!(by_query("utm_source=chatgpt.com&utm_medium=cpc"), Channel::PaidOther);
}

#[test]
fn a_referrer_that_only_advertises_itself_is_no_source() {
    for referrer in ["https://semalt.semalt.com/x", "https://site3.free-share-buttons.xyz/", "https://a.econom.co/"] {
        assert_eq!(touch("https://shop.example/", referrer), Touch::direct(), "{referrer}");
    }
    let tagged = touch("https://shop.example/?utm_source=brevo&utm_medium=email", "https://semalt.com/");
    assert_eq!((tagged.channel, tagged.referrer_host), (Channel::Email, None));
    for referrer in
        ["https://seo.example/", "https://semaphore.example/", "https://economy.com/", "https://notecon.co/"]
    {
        assert_eq!(by_referrer(referrer).0, Channel::Referral, "{referrer}");
    }
    assert!(is_referrer_spam("darodar.com/") && !is_referrer_spam("shop.example/darodar"));
}

#[test]
fn a_campaign_says_more_than_the_referrer() {
    let both = touch("https://shop.example/?utm_source=brevo&utm_medium=email", "https://www.google.com/");
    assert_eq!((both.channel, both.source.as_str()), (Channel::Email, "brevo"));
    assert_eq!(both.referrer_host.as_deref(), Some("www.google.com"));
    // Where it leaves the source open, the referrer fills it in.
    let half = touch("https://shop.example/?utm_medium=cpc", "https://www.google.com/");
    assert_eq!((half.channel, half.source.as_str()), (Channel::PaidSearch, "google"));
}

#[test]
fn click_ids_decide_where_no_medium_is_named() {
    let expected = [
        ("gclid=abc", Channel::PaidSearch, "google", "cpc"),
        ("wbraid=abc", Channel::PaidSearch, "google", "cpc"),
        ("msclkid=abc", Channel::PaidSearch, "bing", "cpc"),
        ("dclid=abc", Channel::Display, "google", "display"),
        ("ttclid=abc", Channel::PaidSocial, "tiktok", "cpc"),
        ("mc_cid=abc", Channel::Email, "mailchimp", "email"),
        ("awc=1_2", Channel::Affiliates, "awin", "affiliate"),
        // Facebook adds it to every link, so it names the network and no payment.
        ("fbclid=abc", Channel::OrganicSocial, "facebook", "social"),
        ("gbraid=abc", Channel::PaidSearch, "google", "cpc"),
        ("yclid=abc", Channel::PaidSearch, "yandex", "cpc"),
        ("twclid=abc", Channel::PaidSocial, "x", "cpc"),
        ("li_fat_id=abc", Channel::PaidSocial, "linkedin", "cpc"),
        ("ScCid=abc", Channel::PaidSocial, "snapchat", "cpc"),
        ("rdt_cid=abc", Channel::PaidSocial, "reddit", "cpc"),
        ("epik=abc", Channel::OrganicSocial, "pinterest", "social"),
        ("srsltid=abc", Channel::OrganicShopping, "google shopping", "organic"),
        ("sscid=abc", Channel::Affiliates, "shareasale", "affiliate"),
        // What the tracker takes out because it names a person still says which mailer it was.
        ("_kx=*", Channel::Email, "klaviyo", "email"),
        ("_hsmi=263012345&_hsenc=*", Channel::Email, "hubspot", "email"),
        ("mc_cid=0f1e2d3c4b&mc_eid=*", Channel::Email, "mailchimp", "email"),
        ("fbclid=abc&gclid=def", Channel::PaidSearch, "google", "cpc"),
        ("fbclid=abc&utm_medium=cpc", Channel::PaidSocial, "facebook", "cpc"),
        ("gclid=abc&utm_source=google&utm_medium=organic", Channel::OrganicSearch, "google", "organic"),
        ("gclid=abc&utm_campaign=spring", Channel::PaidSearch, "google", "cpc"),
    ];
    for (query, channel, source, medium) in expected {
        let touch = touch(&format!("https://shop.example/?{query}"), "");
        assert_eq!((touch.channel, touch.source.as_str(), touch.medium.as_str()), (channel, source, medium), "{query}");
    }
    let landing = read_url("https://shop.example/?GCLID=Cj0KCQ_-x").unwrap();
    assert_eq!(landing.click_id, Some(("gclid".into(), "Cj0KCQ_-x".into())));
    assert_eq!(landing.campaign.unwrap().click_id, "gclid");
    assert_eq!(read_url("https://shop.example/?gclid=").unwrap().campaign, None);
}

#[test]
fn channels_have_one_key_and_one_label_each() {
    for channel in Channel::ALL {
        assert_eq!(Channel::from_key(channel.key()), Some(channel));
        assert_eq!(serde_json::to_value(channel).unwrap(), channel.key());
        assert_eq!(Channel::ALL.iter().filter(|other| other.label() == channel.label()).count(), 1, "{channel}");
    }
    assert_eq!(Channel::Email.label(), "Newsletter");
    assert_eq!(Channel::from_key("nothing"), None);
}

#[test]
fn a_page_is_host_and_path() {
    let page = |url: &str| read_url(url).map(|landing| landing.page);
    let expected = [
        ("https://Shop.Example/Shoes/", "shop.example/Shoes"),
        ("https://shop.example", "shop.example/"),
        ("https://shop.example/?a=1#top", "shop.example/"),
        ("http://shop.example:80/a", "shop.example/a"),
        ("https://shop.example:443/a", "shop.example/a"),
        ("http://localhost:8080/a", "localhost:8080/a"),
        ("http://[::1]:8080/a", "[::1]:8080/a"),
        ("//shop.example/a", "shop.example/a"),
        ("https://www.shop.example//a///b", "www.shop.example/a/b"),
        ("https://mia:secret@shop.example/a", "shop.example/a"),
        ("https://shop.example\\a", "shop.example/a"),
        ("  https://shop.example./a ", "shop.example/a"),
        ("https://shop.example/caf%C3%A9/a+b", "shop.example/café/a+b"),
        ("https://shop.example/a%2Fb", "shop.example/a%2Fb"),
        ("https://shop.example/100%25", "shop.example/100%25"),
        ("https://shop.example/a%0Ab", "shop.example/a%0Ab"),
        ("https://shop.example/%FF%zz", "shop.example/%FF%zz"),
        ("https://müller.example/größe", "müller.example/größe"),
    ];
    for (url, name) in expected {
        assert_eq!(page(url).as_deref(), Some(name), "{url}");
    }
    for url in [
        "",
        "https://./",
        "https://../a",
        "shop.example/a",
        "about:blank",
        "file:///etc/hosts",
        "javascript://x",
        "https://",
        "https:///a",
        "https://sh op.example/",
        "https://<b>/",
        "data:text/html,//x",
        "android-app://x/",
    ] {
        assert_eq!(page(url), None, "{url}");
    }
}

#[test]
fn ids_hashes_tokens_and_addresses_in_a_path_have_one_name_each() {
    let path =
        |path: &str| read_url(&format!("https://a.example/{path}")).unwrap().page["a.example/".len()..].to_owned();
    let expected = [
        ("orders/1234567", "orders/:id"),
        ("orders/12345", "orders/12345"),
        ("orders/12345678901234567890", "orders/:id"),
        ("p1234567x/2026", "p:idx/2026"),
        ("order-1234567-thanks", "order-:id-thanks"),
        ("u/123e4567-e89b-12d3-a456-426614174000/edit", "u/:id/edit"),
        ("f/d41d8cd98f00b204e9800998ecf8427e.pdf", "f/:hash.pdf"),
        ("reset/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U", ""),
        ("invite/V1StGXR8Z5jdHi6BmyT9", "invite/:token"),
        ("mia@example.com/orders", ":email/orders"),
        ("mia%40example.com", ":email"),
        ("@mia", "@mia"),
        ("running-shoes-for-women-2026", "running-shoes-for-women-2026"),
        ("MyGreatRunningShoesForWomen", "MyGreatRunningShoesForWomen"),
        ("donaudampfschifffahrtsgesellschaft", "donaudampfschifffahrtsgesellschaft"),
        ("windows10professional", "windows10professional"),
        ("facadefacadefacade", "facadefacadefacade"),
        ("größe-123456", "größe-:id"),
    ];
    for (written, named) in expected {
        if named.is_empty() {
            let named = path(written);
            assert!(!named.contains("eyJ") && !named.contains("dozjgNry"), "{named}");
        } else {
            assert_eq!(path(written), named, "{written}");
        }
    }
}

#[test]
fn campaigns_are_read_in_lower_case_decoded_and_without_addresses() {
    let url = "https://a.example/?utm_source=News%20Letter&UTM_MEDIUM=E-Mail&utm_campaign=Fr%C3%BChling+2026&utm_term=a%26b\
               &utm_content=mia%40example.com&utm_source=second";
    let campaign = read_url(url).unwrap().campaign.unwrap();
    assert_eq!(
        campaign,
        Campaign {
            source: "news letter".into(),
            medium: "e-mail".into(),
            name: "Frühling 2026".into(),
            term: "a&b".into(),
            content: ":email".into(),
            click_id: String::new(),
        }
    );
    assert_eq!(read_url("https://a.example/?utm_id=77").unwrap().campaign.unwrap().name, "77");
    assert_eq!(read_url("https://a.example/?utm_source=&utm_medium=%20&q=1").unwrap().campaign, None);
    let long = read_url(&format!("https://a.example/?utm_source={}", "ü".repeat(500))).unwrap().campaign.unwrap();
    assert_eq!(long.source, "ü".repeat(64));
}

#[test]
fn a_referrer_of_the_site_itself_is_none() {
    let own = ["shop.example".to_owned(), "www.blog.example".to_owned(), String::new()];
    let read = |referrer: &str| read_referrer(referrer, &own, "pages.example:8080");
    for referrer in [
        "https://shop.example/a",
        "https://www.shop.example/",
        "https://m.shop.example/",
        "https://blog.example/",
        "https://SHOP.example:8443/",
        "http://pages.example:8080/",
        "http://www.pages.example/",
        "",
        "about:blank",
        "no address",
    ] {
        assert_eq!(read(referrer), None, "{referrer}");
    }
    assert_eq!(read("https://myshop.example/a/?q=1").as_deref(), Some("myshop.example/a"));
    assert_eq!(read("https://shop.example.evil.example/").as_deref(), Some("shop.example.evil.example/"));
    assert_eq!(read("android-app://com.slack/").as_deref(), Some("com.slack/"));
}

proptest! {
    #[test]
    fn whatever_an_address_holds_its_page_is_short_and_can_be_stored(
        url in "(https?:)?//[a-zA-Zäß.:@\\[\\]-]{0,20}(/[\\PC\u{0}]{0,30}){0,30}(\\?[\\PC\u{0}]{0,200})?",
    ) {
        if let Some(landing) = read_url(&url) {
            prop_assert!(landing.page.len() <= MAX_PAGE_BYTES);
            prop_assert!(!landing.page.contains(char::is_control), "{:?}", landing.page);
            prop_assert!(landing.page.contains('/'));
            prop_assert!(!landing.host().is_empty());
            let again = read_url(&format!("https://{}", landing.page)).map(|landing| landing.page);
            prop_assert_eq!(again.as_deref().map(|page| page.split('/').next()), Some(Some(landing.host())));
            channel(landing.campaign.as_ref(), Some(&landing.page));
        }
    }

    #[test]
    fn any_text_at_all_is_read_without_harm(text in "\\PC{0,300}", long in 0..40_000_usize) {
        read_url(&text);
        read_referrer(&text, std::slice::from_ref(&text), &text);
        let page = read_url(&format!("https://a.example/{}?utm_source={}", "é".repeat(long), text));
        prop_assert!(page.is_some_and(|landing| landing.page.len() <= MAX_PAGE_BYTES));
    }
}
