//! The demo shop's pages, with the demo site's tag in them.

use super::State;
use crate::demo;
use actix_web::http::header;
use actix_web::{HttpResponse, web};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/demo", web::get().to(|| async { web::Redirect::to("/demo/") }));
    config.route("/demo/{path:.*}", web::get().to(page));
}

async fn page(state: web::Data<State>, path: web::Path<String>) -> HttpResponse {
    let Some(site) = state.sites.named(demo::load::SHOP).filter(|_| state.demo) else {
        return HttpResponse::NotFound().body("there is no demo here; start with --demo");
    };
    match demo::shop::page(&path, &site.write_key) {
        Some((content_type, body)) => HttpResponse::Ok()
            .content_type(content_type)
            .insert_header((header::CACHE_CONTROL, "no-cache"))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .body(body),
        None => HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body("this shop has no such page"),
    }
}
