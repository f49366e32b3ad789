use super::*;

/// Agents as they are sent, and what is read out of them.
#[test]
fn agents_tell_device_browser_and_system() {
    let expected = [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
            "desktop|Chrome|124|Windows",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36 Edg/124.0.2478.51",
            "desktop|Edge|124|Windows",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/123.0.0.0 Safari/537.36 OPR/109.0.0.0",
            "desktop|Opera|109|Windows",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:125.0) Gecko/20100101 Firefox/125.0",
            "desktop|Firefox|125|Windows",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0", "desktop|Firefox|115|Linux"),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 Safari/605.1.15",
            "desktop|Safari|17|macOS",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 Mobile/15E148 Safari/604.1",
            "mobile|Safari|17|iOS",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/124.0.6367.68 Mobile/15E148 Safari/604.1",
            "mobile|Chrome|124|iOS",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/125.0 Mobile/15E148 Safari/605.1.15",
            "mobile|Firefox|125|iOS",
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1",
            "tablet|Safari|16|iOS",
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36",
            "mobile|Chrome|124|Android",
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SM-X200) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
            "tablet|Chrome|124|Android",
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/24.0 Chrome/117.0.0.0 Mobile Safari/537.36",
            "mobile|Samsung Internet|24|Android",
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/AP1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/124.0.6367.54 Mobile Safari/537.36",
            "mobile|Android WebView|124|Android",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21E236 Instagram 328.0.3.31.94 (iPhone14,5; iOS 17_4_1)",
            "mobile|Instagram app|328|iOS",
        ),
        (
            "Mozilla/5.0 (Linux; Android 9; AFTKA Build/PS7633) AppleWebKit/537.36 (KHTML, like Gecko) Silk/120.3.1 like Chrome/120.0.6099.230 Safari/537.36",
            "tv|Amazon Silk|120|Android",
        ),
        (
            "Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36",
            "tv|Safari||Tizen",
        ),
        (
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
            "desktop|Chrome|124|ChromeOS",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
            "desktop|Internet Explorer|11|Windows",
        ),
        ("Tram/1", ""),
        ("", ""),
    ];
    for (agent, text) in expected {
        let software = Software::of_agent(agent);
        assert_eq!(software.text().unwrap_or_default(), text, "{agent}");
        assert_eq!(Software::read(text), software, "what is stored says the same: {agent}");
    }
}

#[test]
fn what_devices_say_has_one_form_and_older_forms_are_read() {
    let expected = [
        ("de-AT|Europe/Vienna|1920x1080", Some("de-AT|Europe/Vienna|1920x1080")),
        ("DE_at|Europe/Vienna|0x0", Some("de-AT|Europe/Vienna|")),
        ("zh-hant-tw||390x844", Some("zh-Hant-TW||390x844")),
        ("en|America/Argentina/Buenos_Aires|", Some("en|America/Argentina/Buenos_Aires|")),
        ("en_US.UTF-8|UTC", Some("en-US|UTC|")),
        ("||0x0", None),
        ("<script>|nowhere|wide", None),
        ("(other)", None),
        ("1234||", None),
    ];
    for (stored, clean) in expected {
        let device = Device::read(stored);
        assert_eq!(device.text().as_deref(), clean, "{stored}");
        assert_eq!(device.text().map(|text| Device::read(&text)).unwrap_or_default(), device, "{stored}");
    }
    assert_eq!(Device::read("zh-Hant-TW||").main_language(), Some("zh"));
}

#[test]
fn countries_are_known_by_code_and_in_order() {
    let codes: Vec<&str> = Country::all().map(Country::code).collect();
    assert!(codes.is_sorted(), "the table is searched by halves");
    assert_eq!(Country::from_code("at").map(Country::name), Some("Austria"));
    assert_eq!(Country::from_code("ZZ"), None);
    let json = serde_json::to_string(&Country::from_code("XK")).unwrap();
    assert_eq!(json, "\"XK\"");
    assert_eq!(serde_json::from_str::<Option<Country>>(&json).unwrap(), Country::from_code("XK"));
}

#[test]
fn what_a_later_event_knows_counts_and_what_it_does_not_know_stays() {
    let phone = Surroundings::read(Some("AT"), Some("mobile|Safari|17|iOS"), Some("de-AT|Europe/Vienna|"));
    let desk = Surroundings::read(Some("DE"), Some("desktop|Chrome||Windows"), None);
    let mut latest = phone.clone();
    latest.follow(&desk);
    assert_eq!(latest, Surroundings { language: phone.language.clone(), time_zone: phone.time_zone.clone(), ..desk });
    let mut first = Surroundings::read(Some("AT"), None, None);
    first.fill_in(&Surroundings::read(Some("DE"), Some("mobile|Safari|17|iOS"), None));
    assert_eq!(first, Surroundings::read(Some("AT"), Some("mobile|Safari|17|iOS"), None));
    assert!(Surroundings::read(None, Some("|||"), Some("||")).is_empty());
}
