//! A file that comes in: streamed into the store part by part, never as a whole in memory.

use super::super::{Inside, PageError, Reply, inside, same_token};
use super::list_page;
use crate::http::State;
use crate::http::auth;
use crate::intake::screen;
use crate::store::users::User;
use crate::store::{Store, StoreError};
use actix_multipart::{Field, Multipart};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::report::{ImportKind, ImportState};
use futures_util::{StreamExt, TryStreamExt};
use std::collections::HashMap;

/// Bytes of one part of a file in the store.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes of a field that is no file.
const FIELD_BYTES: usize = 1_024;
/// Fields of a form that are no file.
const MAX_FIELDS: usize = 8;

/// Why a file is not taken.
enum Refused {
    /// Told beside the form, with what to do.
    Told(StatusCode, String),
    /// See [`PageError`].
    Page(PageError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Refused {
        Refused::Page(error.into())
    }
}

fn cut_off() -> Refused {
    Refused::Told(StatusCode::BAD_REQUEST, "The file was cut off on its way; upload it again.".to_owned())
}

fn stopping() -> Refused {
    Refused::Page(PageError::Store(StoreError::Away("the server is stopping".into())))
}

/// Who sends a file, and where it goes.
struct Receiving {
    store: Store,
    user: User,
    site_id: i32,
    limit_mib: u64,
}

/// Takes a form with a file. The token stands before the file, so that nothing is stored of another page's form.
pub(super) async fn upload(
    state: web::Data<State>,
    request: HttpRequest,
    site: web::Path<i32>,
    form: Multipart,
) -> HttpResponse {
    let (store, token, site_id) = (state.store.clone(), auth::token(&request), *site);
    let limit_mib = state.import_limit_mib;
    let who = web::block(move || auth::who(&store, token.as_deref())).await;
    let came = match who {
        Ok(Ok(Some(logged_in))) if logged_in.sites.iter().any(|site| site.site_id == site_id) => {
            let receiving = Receiving { store: state.store.clone(), user: logged_in.user, site_id, limit_mib };
            receiving.form(form).await
        }
        // Whoever may not be here is told so by `inside`.
        Ok(Ok(Some(_) | None)) => Err(Refused::Page(PageError::NotFound)),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(stopping()),
    };
    inside(&state, &request, Some(site_id), move |page| answer(page, limit_mib, came)).await
}

fn answer(page: &Inside, limit_mib: u64, came: Result<i64, Refused>) -> Result<Reply, PageError> {
    match came {
        Ok(import_id) => Ok(Reply::To(format!("/s/{}/imports/{import_id}", page.site()?.site_id))),
        Err(Refused::Told(status, why)) => list_page(page, limit_mib, status, Some(&why)),
        Err(Refused::Page(error)) => Err(error),
    }
}

impl Receiving {
    async fn form(&self, mut form: Multipart) -> Result<i64, Refused> {
        let mut typed: HashMap<String, String> = HashMap::new();
        let mut fields = 0;
        while let Some(mut field) = form.try_next().await.map_err(|_| cut_off())? {
            let name = field.name().unwrap_or_default().to_owned();
            if name != "file" {
                fields += 1;
                if fields > MAX_FIELDS {
                    return Err(Refused::Told(StatusCode::BAD_REQUEST, "The form has too many fields.".to_owned()));
                }
                let text = field.bytes(FIELD_BYTES).await.map_err(|_| cut_off())?.map_err(|_| cut_off())?;
                if matches!(name.as_str(), "csrf_token" | "kind") {
                    typed.insert(name, String::from_utf8_lossy(&text).into_owned());
                }
                continue;
            }
            same_token(&self.user, &typed).map_err(Refused::Page)?;
            let kind = typed.get("kind").and_then(|kind| ImportKind::from_key(kind)).unwrap_or(ImportKind::Orders);
            let file = field.content_disposition().and_then(|told| told.get_filename()).and_then(screen::term);
            return self.file(kind, file.as_deref().unwrap_or("(no name)"), &mut field).await;
        }
        Err(Refused::Told(StatusCode::BAD_REQUEST, "Choose a file first.".to_owned()))
    }

    async fn file(&self, kind: ImportKind, name: &str, field: &mut Field) -> Result<i64, Refused> {
        let (store, site_id, name, by) = (self.store.clone(), self.site_id, name.to_owned(), self.user.email.clone());
        let begun = web::block(move || store.begin_upload(site_id, kind, &name, &by)).await;
        let import_id = begun.map_err(|_| stopping())??;
        let stored = self.chunks(import_id, field).await;
        let store = self.store.clone();
        if stored.is_err() {
            // What came in of it is of no use.
            let removed = web::block(move || store.remove_import(site_id, import_id)).await;
            if !matches!(removed, Ok(Ok(_))) {
                tracing::warn!(site = site_id, import = import_id, "a part of a file is removed later");
            }
            return stored.map(|()| import_id);
        }
        let ready =
            web::block(move || store.move_import(site_id, import_id, &[ImportState::Uploading], ImportState::Ready));
        ready.await.map_err(|_| stopping())??;
        Ok(import_id)
    }

    async fn chunks(&self, import_id: i64, field: &mut Field) -> Result<(), Refused> {
        let limit = self.limit_mib.saturating_mul(1 << 20);
        let (mut part, mut no, mut bytes) = (Vec::with_capacity(CHUNK_BYTES), 0, 0_u64);
        while let Some(read) = field.next().await {
            let read = read.map_err(|_| cut_off())?;
            bytes += read.len() as u64;
            // Beyond the limit it is read on without being kept: a browser that is cut off shows no answer.
            if bytes > limit {
                part.clear();
                continue;
            }
            part.extend_from_slice(&read);
            if part.len() >= CHUNK_BYTES {
                self.put(import_id, no, std::mem::take(&mut part)).await?;
                no += 1;
            }
        }
        match bytes {
            0 => Err(Refused::Told(StatusCode::BAD_REQUEST, "The file is empty.".to_owned())),
            bytes if bytes > limit => {
                let why = format!(
                    "The file has {} MiB, the limit is {} MiB. Split it, or import it on the server with: segments import",
                    bytes.div_ceil(1 << 20),
                    self.limit_mib
                );
                Err(Refused::Told(StatusCode::PAYLOAD_TOO_LARGE, why))
            }
            _ if part.is_empty() => Ok(()),
            _ => self.put(import_id, no, part).await,
        }
    }

    async fn put(&self, import_id: i64, no: i32, part: Vec<u8>) -> Result<(), Refused> {
        let (store, site_id) = (self.store.clone(), self.site_id);
        let put = web::block(move || store.put_chunk(site_id, import_id, no, part)).await;
        Ok(put.map_err(|_| stopping())??)
    }
}
