//! What can be imported, the fields of each kind, and under which headings they are found.
//!
//! Headings are compared by their letters and digits alone, in lower case: `Lineitem name`, `lineitem_name` and
//! `lineitem.name` are one. The headings are those of the exports of Shopify, WooCommerce, Stripe, Mailchimp and Klaviyo,
//! and the words that people write themselves.

mod by_day;

pub(crate) use domain::report::ImportKind as Kind;

/// What stands in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Moment,
    Amount,
    Currency,
    Email,
    Truth,
    /// A word of [`super::newsletter`].
    Happening,
    /// A list of NDJSON.
    List,
    /// A whole day.
    Day,
    /// How often.
    Count,
}

/// A field of a kind.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) form: Form,
    pub(crate) needed: bool,
    /// Headings it is looked for under, in the order in which they are preferred, as [`plain`] writes them.
    pub(crate) synonyms: &'static [&'static str],
}

const fn field(name: &'static str, label: &'static str, form: Form, synonyms: &'static [&'static str]) -> Field {
    Field { name, label, form, needed: false, synonyms }
}

const fn needed(name: &'static str, label: &'static str, form: Form, synonyms: &'static [&'static str]) -> Field {
    Field { name, label, form, needed: true, synonyms }
}

const EMAIL: Field = field(
    "email",
    "E-mail address",
    Form::Email,
    &[
        "email",
        "e_mail",
        "email_address",
        "e_mail_address",
        "customer_email",
        "billing_email",
        "email_billing",
        "customer_email_address",
        "contact_email",
        "recipient",
        "recipient_email",
        "subscriber",
        "subscriber_email",
        "user_email",
        "e_mail_adresse",
        "email_adresse",
        "mail",
        "to",
        "billing_email_address",
    ],
);

const PHONE: Field = field(
    "phone",
    "Phone number",
    Form::Text,
    &[
        "phone",
        "phone_number",
        "mobile",
        "mobile_phone",
        "telephone",
        "billing_phone",
        "phone_billing",
        "telefon",
        "default_address_phone",
        "customer_phone",
        "sms_phone_number",
    ],
);

#[rustfmt::skip]
const CUSTOMERS: &[Field] = &[
    field("customer_id", "Customer id", Form::Text, &[
        "customer_id", "user_id", "id", "customer", "userid", "client_id", "member_id", "external_id", "klaviyo_id",
        "leid", "kundennummer", "kunden_id",
    ]),
    EMAIL,
    PHONE,
    field("first_name", "First name", Form::Text, &[
        "first_name", "firstname", "fname", "given_name", "vorname", "billing_first_name", "first_name_billing",
    ]),
    field("last_name", "Last name", Form::Text, &[
        "last_name", "lastname", "lname", "surname", "family_name", "nachname", "billing_last_name", "last_name_billing",
    ]),
    field("name", "Whole name", Form::Text, &["name", "full_name", "customer_name", "display_name", "kunde"]),
    field("company", "Company", Form::Text, &[
        "company", "organization", "organisation", "default_address_company", "billing_company", "firma",
    ]),
    field("street", "Street", Form::Text, &[
        "address", "address1", "address_1", "street", "default_address_address1", "billing_address_1", "address_line1",
        "card_address_line1", "shipping_address_line1", "strasse", "straße",
    ]),
    field("city", "City", Form::Text, &[
        "city", "default_address_city", "billing_city", "card_address_city", "shipping_address_city", "town", "ort",
        "stadt",
    ]),
    field("postal_code", "Postal code", Form::Text, &[
        "zip", "zip_code", "postal_code", "postcode", "default_address_zip", "billing_postcode", "card_address_zip",
        "shipping_address_postal_code", "plz",
    ]),
    field("state", "State or region", Form::Text, &[
        "state", "province", "region", "default_address_province_code", "province_code", "billing_state",
        "card_address_state", "state_region", "bundesland",
    ]),
    field("country", "Country", Form::Text, &[
        "country", "country_code", "default_address_country_code", "country_region", "billing_country",
        "card_address_country", "shipping_address_country", "land", "cc",
    ]),
    field("date_of_birth", "Date of birth", Form::Text, &[
        "date_of_birth", "birthday", "birthdate", "birth_date", "dob", "geburtsdatum",
    ]),
    field("created_at", "Customer since", Form::Moment, &[
        "created_at", "created", "created_utc", "signed_up_at", "signup_date", "date_registered", "registered",
        "user_registered", "sign_up", "optin_time", "confirm_time", "profile_created_on", "first_active", "since",
        "registriert",
    ]),
    field("updated_at", "Last changed", Form::Moment, &[
        "updated_at", "last_changed", "profile_updated_on", "modified", "updated", "last_modified",
    ]),
    field("accepts_marketing", "Agreed to newsletters", Form::Truth, &[
        "accepts_email_marketing", "accepts_marketing", "email_opt_in", "opt_in", "marketing_consent", "newsletter",
        "email_marketing_consent", "subscribed", "email_marketing_status", "consent",
    ]),
    field("tags", "Tags", Form::Text, &["tags", "labels"]),
];

#[rustfmt::skip]
const ORDERS: &[Field] = &[
    field("customer_id", "Customer id", Form::Text, &[
        "customer_id", "user_id", "customer", "master_id", "userid", "client_id", "customer_user", "customer_user_id",
        "kundennummer", "kunden_id",
    ]),
    EMAIL,
    PHONE,
    needed("ordered_at", "Ordered at", Form::Moment, &[
        "ordered_at", "order_date", "created_at", "date", "timestamp", "created_date_utc", "created_utc", "paid_at",
        "date_created", "created", "order_created_at", "purchased_at", "bestelldatum", "datum",
    ]),
    needed("total", "Total", Form::Amount, &[
        "total", "amount", "revenue", "value", "order_total", "order_total_amount", "total_price", "grand_total",
        "total_amount", "converted_amount", "cart_total", "gesamtbetrag", "summe", "betrag",
    ]),
    field("order_id", "Order id", Form::Text, &[
        "order_id", "order", "id", "order_number", "ordernumber", "order_no", "number", "invoice_id", "payment_id",
        "transaction_id", "bestellnummer", "name",
    ]),
    field("currency", "Currency", Form::Currency, &[
        "currency", "currency_code", "order_currency", "converted_currency", "waehrung", "währung",
    ]),
    field("status", "Status", Form::Text, &["status", "order_status", "financial_status", "payment_status", "state"]),
    field("cancelled_at", "Cancelled at", Form::Moment, &["cancelled_at", "canceled_at", "cancelled_date"]),
    field("refunded", "Refunded", Form::Amount, &[
        "refunded_amount", "amount_refunded", "refunded", "refund_amount", "order_refund_amount", "total_refunded",
        "converted_amount_refunded", "refund_total", "erstattet",
    ]),
    field("refunded_at", "Refunded at", Form::Moment, &["refunded_at", "refund_date", "refunded_date_utc"]),
    field("subtotal", "Subtotal", Form::Amount, &["subtotal", "order_subtotal", "order_subtotal_amount"]),
    field("shipping", "Shipping", Form::Amount, &[
        "shipping", "shipping_total", "shipping_amount", "order_shipping_amount", "order_shipping", "versand",
    ]),
    field("tax", "Tax", Form::Amount, &[
        "taxes", "tax", "order_total_tax_amount", "order_tax", "total_tax", "tax_total", "taxes_on_fee", "mwst",
    ]),
    field("discount", "Discount", Form::Amount, &[
        "discount_amount", "discount", "cart_discount_amount", "cart_discount", "order_discount", "discount_total",
        "total_discounts", "rabatt",
    ]),
    field("coupon", "Discount code", Form::Text, &[
        "discount_code", "coupon", "coupon_code", "coupons", "coupon_items", "gutschein",
    ]),
    field("item_id", "Line: product id", Form::Text, &["lineitem_product_id", "item_id", "product_id", "line_item_id"]),
    field("item_sku", "Line: SKU", Form::Text, &["lineitem_sku", "sku", "item_sku", "product_sku"]),
    field("item_name", "Line: product", Form::Text, &[
        "lineitem_name", "item_name", "product_name", "product", "line_item_name", "line_item", "artikel", "produkt",
    ]),
    field("item_category", "Line: category", Form::Text, &["item_category", "product_category", "category"]),
    field("item_brand", "Line: brand", Form::Text, &["vendor", "brand", "item_brand"]),
    field("item_price", "Line: price of one", Form::Amount, &[
        "lineitem_price", "item_cost", "item_price", "unit_price", "price", "product_price", "einzelpreis",
    ]),
    field("item_quantity", "Line: quantity", Form::Amount, &[
        "lineitem_quantity", "quantity", "item_quantity", "quantity_refund", "qty", "menge",
    ]),
    field("items", "Lines as a list", Form::List, &["line_items", "products", "items", "lines", "lineitems"]),
];

#[rustfmt::skip]
const NEWSLETTER: &[Field] = &[
    Field { needed: true, ..EMAIL },
    needed("happened_at", "Happened at", Form::Moment, &[
        "happened_at", "timestamp", "datetime", "date", "time", "occurred_at", "event_time", "event_date", "sent_at",
        "send_time", "opened_at", "clicked_at", "created_at", "unsub_time", "clean_time", "processed", "datum",
        "bounced_at", "delivered_at",
    ]),
    field("event", "What happened", Form::Happening, &[
        "event", "type", "action", "activity", "event_type", "event_name", "metric", "metric_name", "status", "ereignis",
    ]),
    field("campaign", "Campaign", Form::Text, &[
        "campaign", "campaign_name", "campaign_title", "newsletter", "marketing_campaign_name", "message_name",
        "email_name", "singlesend_name", "kampagne",
    ]),
    field("campaign_id", "Campaign id", Form::Text, &[
        "campaign_id", "marketing_campaign_id", "message_campaign_id", "singlesend_id", "list_id",
    ]),
    field("subject", "Subject", Form::Text, &["subject", "email_subject", "subject_line", "betreff"]),
    field("url", "Link that was clicked", Form::Text, &["url", "link", "link_url", "clicked_url", "href"]),
    field("reason", "Reason", Form::Text, &["reason", "unsub_reason", "bounce_reason", "response", "message"]),
    field("event_id", "Id of the event", Form::Text, &["event_id", "sg_event_id", "uuid", "id"]),
];

/// What there is to know of a kind.
pub(crate) trait Fields: Sized {
    /// All its fields.
    fn fields(self) -> &'static [Field];

    /// The field of that name.
    fn field(self, name: &str) -> Option<&'static Field>;

    /// Fields of which a file needs one.
    fn names_people_by(self) -> &'static [&'static str];
}

impl Fields for Kind {
    fn fields(self) -> &'static [Field] {
        match self {
            Kind::Customers => CUSTOMERS,
            Kind::Orders => ORDERS,
            Kind::Newsletter => NEWSLETTER,
            Kind::AdSpend => by_day::AD_SPEND,
            Kind::SearchConsole => by_day::SEARCH_CONSOLE,
            Kind::WebHistory => by_day::WEB_HISTORY,
        }
    }

    fn field(self, name: &str) -> Option<&'static Field> {
        self.fields().iter().find(|field| field.name == name)
    }

    fn names_people_by(self) -> &'static [&'static str] {
        match self {
            Kind::Customers => &["customer_id", "email", "phone"],
            Kind::Orders => &["customer_id", "email"],
            Kind::Newsletter => &["email"],
            Kind::AdSpend | Kind::SearchConsole | Kind::WebHistory => &[],
        }
    }
}

/// A heading's letters and digits in lower case, words joined by `_`.
pub(crate) fn plain(heading: &str) -> String {
    let words = heading.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<String>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn headings_are_compared_by_letters_and_digits() {
        assert_eq!(plain(" Lineitem name "), "lineitem_name");
        assert_eq!(plain("customer.e-Mail"), "customer_e_mail");
        assert_eq!(plain("Created (UTC)"), "created_utc");
        assert_eq!(plain("Straße"), "straße");
        assert_eq!(plain("—"), "");
    }

    #[test]
    fn no_heading_is_wanted_by_two_fields_of_a_kind_and_each_can_match() {
        for kind in Kind::ALL {
            let mut seen = BTreeSet::new();
            for field in kind.fields() {
                assert!(!field.synonyms.is_empty() && !field.label.is_empty());
                for synonym in field.synonyms {
                    assert_eq!(plain(synonym), *synonym, "{}: as headings are compared", field.name);
                    assert!(seen.insert(*synonym), "{}: {synonym} is another field's, too", kind.key());
                }
            }
            assert!(kind.names_people_by().iter().all(|name| kind.field(name).is_some()));
            assert_eq!(Kind::from_key(kind.key()), Some(kind));
        }
    }
}
