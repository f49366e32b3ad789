//! The routes of protocols of others: where their SDKs knock, and what each of them calls success.

use super::{Answer, allow_origin, answer, around, basic_key, deliver, preflight, read, receipt, refuse, resource};
use super::{sender_of, site_named, site_of};
use crate::http::State;
use crate::intake::protocol::{Key, Text, ga4, matomo, pixel, plausible, posthog, rudderstack, snowplow, umami};
use crate::intake::{Refusal, body};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

/// Message types by route: Segment's HTTP API, and the short paths that its browser SDK uses.
const MESSAGES: [(&str, &str); 12] = [
    ("track", "track"),
    ("identify", "identify"),
    ("page", "page"),
    ("screen", "screen"),
    ("group", "group"),
    ("alias", "alias"),
    ("t", "track"),
    ("i", "identify"),
    ("p", "page"),
    ("s", "screen"),
    ("g", "group"),
    ("a", "alias"),
];

/// A transparent picture of one pixel.
const PICTURE: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00\x21\xf9\x04\x01\x00\x00\x00\x00\
    \x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    segment_routes(config);
    posthog_routes(config);
    let snowplow = |path: &str| web::resource(path).route(web::method(Method::OPTIONS).to(snowplow_preflight));
    config.service(snowplow("/com.snowplowanalytics.snowplow/tp2").route(web::post().to(snowplow_list)));
    config.service(snowplow("/i").route(web::get().to(snowplow_picture)));
    config.service(resource("/api/event").route(web::post().to(plausible_event)));
    config.service(resource("/api/send").route(web::post().to(umami_send)));
    for path in ["/matomo.php", "/piwik.php"] {
        let route = resource(path).route(web::get().to(matomo_track));
        config.service(route.route(web::post().to(matomo_track)));
    }
    config.service(resource("/mp/collect").route(web::post().to(ga4_collect)));
    config.service(resource("/debug/mp/collect").route(web::post().to(ga4_debug)));
    config.service(resource("/p.gif").route(web::get().to(picture)));
}

fn segment_routes(config: &mut web::ServiceConfig) {
    for path in ["/v1/batch", "/v1/b", "/v1/import"] {
        let batch = |state: web::Data<State>, request: HttpRequest, payload: web::Payload| async move {
            answer(&request, segment_post(&state, &request, payload, None).await, receipt)
        };
        config.service(resource(path).route(web::post().to(batch)));
    }
    for (path, kind) in MESSAGES {
        let one = move |state: web::Data<State>, request: HttpRequest, payload: web::Payload| async move {
            answer(&request, segment_post(&state, &request, payload, Some(kind)).await, receipt)
        };
        config.service(resource(&format!("/v1/{path}")).route(web::post().to(one)));
    }
    config.service(resource("/beacon/v1/batch").route(web::post().to(rudderstack_beacon)));
    config.service(resource("/v1/m").route(web::post().to(metrics)));
    config.service(resource("/v1/projects/{key}/settings").route(web::get().to(settings)));
}

fn posthog_routes(config: &mut web::ServiceConfig) {
    for path in ["/batch", "/e", "/i/v0/e", "/capture"] {
        for path in [path.to_owned(), format!("{path}/")] {
            let route = resource(&path).route(web::post().to(posthog_capture));
            config.service(route.route(web::get().to(posthog_capture)));
        }
    }
    for path in ["/flags", "/flags/", "/decide", "/decide/"] {
        config.service(resource(path).route(web::post().to(posthog_flags)));
    }
    config.service(resource("/array/{key}/config").route(web::get().to(posthog_config)));
    config.service(resource("/array/{key}/config.js").route(web::get().to(posthog_script)));
}

/// The body of a request, unpacked.
async fn unpacked(payload: web::Payload) -> Result<Vec<u8>, Refusal> {
    let raw = read(payload).await?;
    Ok(body::decode(&raw)?.into_owned())
}

/// A batch, or one message of the route's own kind, of Segment's or RudderStack's.
async fn segment_post(
    state: &web::Data<State>,
    request: &HttpRequest,
    payload: web::Payload,
    kind: Option<&'static str>,
) -> Result<Answer, Refusal> {
    let raw = read(payload).await?;
    let decoded = body::decode(&raw)?;
    let text = Text::of(&decoded);
    let has_header = request.headers().contains_key("anonymousid");
    let parcel = rudderstack::open_either(&text, kind, basic_key(request), has_header)?;
    deliver(state, request, parcel, decoded.len()).await
}

async fn rudderstack_beacon(state: web::Data<State>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let result = async {
        let body = unpacked(payload).await?;
        let text = Text::of(&body);
        let parcel = rudderstack::open_beacon(&text, request.query_string(), basic_key(&request))?;
        deliver(&state, &request, parcel, body.len()).await
    };
    answer(&request, result.await, receipt)
}

/// Segment's browser SDK reports on itself here; nothing of it is kept.
async fn metrics(request: HttpRequest) -> HttpResponse {
    answer(&request, Ok(Answer::default()), receipt)
}

/// What Segment's browser SDK asks for before it sends anything: its only destination is this collector.
async fn settings(state: web::Data<State>, request: HttpRequest, key: web::Path<String>) -> HttpResponse {
    let site = site_of(&state, &key).await;
    let mut response = match site {
        Ok(_) => {
            let origin = crate::http::pages::origin(&state, &request);
            let (protocol, host) = origin.split_once("://").unwrap_or(("http", &origin));
            HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(serde_json::json!({
                "integrations": {
                    "Segment.io": {
                        "apiKey": key.as_str(),
                        "apiHost": format!("{host}/v1"),
                        "protocol": protocol,
                    }
                },
                "plan": { "track": { "__default": { "enabled": true, "integrations": {} } } },
            }))
        }
        Err(refusal) => refuse(&refusal),
    };
    allow_origin(request.headers(), response.headers_mut());
    response
}

async fn posthog_capture(state: web::Data<State>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let result = async {
        let body = unpacked(payload).await?;
        let plain = posthog::unpack(&body, request.query_string())?;
        let text = Text::of(&plain);
        let parcel = posthog::open(&text, request.query_string())?;
        deliver(&state, &request, parcel, plain.len()).await
    };
    answer(&request, result.await, |answer| {
        let receipt = answer.receipt;
        HttpResponse::Ok().json(serde_json::json!({
            "status": 1,
            "stored": receipt.stored,
            "duplicate": receipt.duplicate,
            "rejected": receipt.rejected,
        }))
    })
}

async fn posthog_flags(state: web::Data<State>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let result = async {
        let body = unpacked(payload).await?;
        let plain = posthog::unpack(&body, request.query_string())?;
        let key = posthog::key_of(&Text::of(&plain).text, request.query_string());
        site_named(&state, key.as_ref()).await?;
        match key {
            Some(Key::Own(key)) => Ok(key),
            Some(Key::Domain(_)) | None => Err(Refusal::UnknownKey),
        }
    };
    told(&request, result.await.map(|key| HttpResponse::Ok().json(posthog::flags(&key))))
}

async fn posthog_config(state: web::Data<State>, request: HttpRequest, key: web::Path<String>) -> HttpResponse {
    let site = site_of(&state, &key).await;
    told(&request, site.map(|_| HttpResponse::Ok().json(posthog::configuration(&key))))
}

/// The same as a script: a page may forbid requests that scripts make, and yet load scripts.
async fn posthog_script(state: web::Data<State>, request: HttpRequest, key: web::Path<String>) -> HttpResponse {
    let site = site_of(&state, &key).await;
    told(
        &request,
        site.map(|_| {
            let one = serde_json::json!({ key.as_str(): {
                "config": posthog::configuration(&key),
                "siteApps": [],
            } });
            let script = format!(
                "(function(){{var all=window._POSTHOG_REMOTE_CONFIG=window._POSTHOG_REMOTE_CONFIG||{{}};\
                 Object.assign(all,{one});}})();"
            );
            HttpResponse::Ok().content_type("text/javascript; charset=utf-8").body(script)
        }),
    )
}

/// An answer of a route that stores nothing.
fn told(request: &HttpRequest, result: Result<HttpResponse, Refusal>) -> HttpResponse {
    let mut response = result.unwrap_or_else(|refusal| refuse(&refusal));
    allow_origin(request.headers(), response.headers_mut());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Snowplow's browser tracker sends its requests with cookies, of which we have none, and gives up where it may not.
fn with_credentials(mut response: HttpResponse) -> HttpResponse {
    let allowed = HeaderValue::from_static("true");
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, allowed);
    response
}

async fn snowplow_preflight(request: HttpRequest) -> HttpResponse {
    with_credentials(preflight(request).await)
}

async fn snowplow_list(state: web::Data<State>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let result = async {
        let body = unpacked(payload).await?;
        let text = Text::of(&body);
        deliver(&state, &request, snowplow::open(&text)?, body.len()).await
    };
    with_credentials(answer(&request, result.await, |_| HttpResponse::Ok().content_type("text/plain").body("ok")))
}

async fn snowplow_picture(state: web::Data<State>, request: HttpRequest) -> HttpResponse {
    let query = request.query_string();
    let result = deliver(&state, &request, snowplow::open_picture(query), query.len()).await;
    with_credentials(answer(&request, result, gif))
}

async fn plausible_event(state: web::Data<State>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let result = async {
        let body = unpacked(payload).await?;
        let text = Text::of(&body);
        deliver(&state, &request, plausible::open(&text)?, body.len()).await
    };
    answer(&request, result.await, |answer| {
        let mut response = HttpResponse::Accepted();
        if answer.receipt.rejected > 0 {
            response.insert_header(("x-plausible-dropped", answer.receipt.rejected.to_string()));
        }
        response.content_type("text/plain").body("ok")
    })
}

async fn umami_send(state: web::Data<State>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let result = async {
        let body = unpacked(payload).await?;
        let text = Text::of(&body);
        deliver(&state, &request, umami::open(&text)?, body.len()).await
    };
    answer(&request, result.await, |_| HttpResponse::Ok().json(umami::answered()))
}

async fn matomo_track(state: web::Data<State>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let mut wants = matomo::Wants::Picture;
    let result = async {
        let body = unpacked(payload).await?;
        let text = Text::of(&body);
        let (parcel, wanted) = matomo::open(&text, request.query_string())?;
        wants = wanted;
        deliver(&state, &request, parcel, body.len() + request.query_string().len()).await
    };
    let result = result.await;
    answer(&request, result, |answer| match wants {
        matomo::Wants::Picture => gif(answer),
        matomo::Wants::Text => HttpResponse::Ok().content_type("text/plain").body("1"),
        matomo::Wants::Count => {
            let receipt = answer.receipt;
            HttpResponse::Ok().json(matomo::counted(receipt.stored + receipt.duplicate, receipt.rejected))
        }
    })
}

async fn ga4_collect(state: web::Data<State>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let result = async {
        let body = unpacked(payload).await?;
        let text = Text::of(&body);
        deliver(&state, &request, ga4::open(&text, request.query_string())?, body.len()).await
    };
    answer(&request, result.await, |_| HttpResponse::Ok().json(serde_json::json!({})))
}

/// Says what would be rejected, and stores nothing.
async fn ga4_debug(state: web::Data<State>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let result = async {
        let body = unpacked(payload).await?;
        let text = Text::of(&body);
        let parcel = ga4::open(&text, request.query_string())?;
        parcel.check()?;
        let sender = sender_of(&state, &request, &parcel).await?;
        let (_, rejections) = parcel.read(&around(&state, &request, &sender));
        let messages: Vec<_> = rejections.iter().map(|rejection| ga4::validation(&rejection.detail)).collect();
        Ok(HttpResponse::Ok().json(serde_json::json!({ "validationMessages": messages })))
    };
    told(&request, result.await)
}

async fn picture(state: web::Data<State>, request: HttpRequest) -> HttpResponse {
    let query = request.query_string();
    let page = super::header_text(&request, header::REFERER);
    let result = deliver(&state, &request, pixel::open(query, page), query.len()).await;
    answer(&request, result, gif)
}

pub(super) fn gif(_: &Answer) -> HttpResponse {
    HttpResponse::Ok().content_type("image/gif").body(PICTURE)
}
