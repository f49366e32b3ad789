// Written by `cargo xtask assets` from wire/src/vocabulary.rs: change that, not this.

/** What JSON can hold; a date becomes its ISO text, `undefined` is left out. */
export type Value =
  | string | number | boolean | null | undefined | Date
  | readonly Value[] | { readonly [name: string]: Value };

/** Values by their names. */
export type Properties = { readonly [name: string]: Value };

/** What names somebody or something. */
export type Id = string | number;

/** In the currency's main unit; a number may stand as text. */
export type Amount = number | `${number}`;

/**
 * How the tracker runs: with its core, without it, or not at all because its script did not load. `sampled` is whether
 * this visitor is told of, where `sample` leaves some out.
 */
export type Status =
  | { engine: 'wasm'; sampled: boolean; queued: number; dropped: number }
  | { engine: 'js'; sampled: boolean }
  | { engine: 'none' };

/** How much may be told, as a word or as consent managers keep it. */
export type Consent = 'off' | 'measure' | 'full' | 'wait' | { analytics: boolean } | { measure: boolean };

/** A product, in a list or as what an event is about; further properties are welcome. */
export interface Product {
  product_id: Id;
  sku?: Id;
  name?: string;
  category?: string;
  brand?: string;
  variant?: string;
  price?: Amount;
  quantity?: number;
  coupon?: string;
  currency?: string;
  position?: number;
  url?: string;
  image_url?: string;
  [own: string]: Value;
}

/** The events of shops that have a meaning, by their names. */
export interface ShopEvents {
  /** Products were searched for. */
  'Products Searched': {
    query: string;
    [own: string]: Value;
  };
  /** A list or category of products was seen. */
  'Product List Viewed': {
    list_id?: Id;
    category?: string;
    products?: readonly Product[];
    [own: string]: Value;
  };
  /** A list of products was narrowed or put in another order. */
  'Product List Filtered': {
    list_id?: Id;
    category?: string;
    filters?: readonly { type: string; value: string }[];
    sorts?: readonly { type: string; value: string }[];
    products?: readonly Product[];
    [own: string]: Value;
  };
  /** A promotion of the site's own was seen. */
  'Promotion Viewed': {
    promotion_id: Id;
    creative?: string;
    name?: string;
    position?: string;
    [own: string]: Value;
  };
  /** A promotion of the site's own was clicked. */
  'Promotion Clicked': {
    promotion_id: Id;
    creative?: string;
    name?: string;
    position?: string;
    [own: string]: Value;
  };
  /** A product was chosen from a list. */
  'Product Clicked': {
    product_id: Id;
    sku?: Id;
    name?: string;
    category?: string;
    brand?: string;
    variant?: string;
    price?: Amount;
    quantity?: number;
    coupon?: string;
    currency?: string;
    position?: number;
    url?: string;
    image_url?: string;
    [own: string]: Value;
  };
  /** A product's own page was seen. */
  'Product Viewed': {
    product_id: Id;
    sku?: Id;
    name?: string;
    category?: string;
    brand?: string;
    variant?: string;
    price?: Amount;
    quantity?: number;
    coupon?: string;
    currency?: string;
    position?: number;
    url?: string;
    image_url?: string;
    [own: string]: Value;
  };
  /** A product was put into the cart. */
  'Product Added': {
    product_id: Id;
    sku?: Id;
    name?: string;
    category?: string;
    brand?: string;
    variant?: string;
    price?: Amount;
    quantity?: number;
    coupon?: string;
    currency?: string;
    position?: number;
    url?: string;
    image_url?: string;
    cart_id?: Id;
    [own: string]: Value;
  };
  /** A product was taken out of the cart. */
  'Product Removed': {
    product_id: Id;
    sku?: Id;
    name?: string;
    category?: string;
    brand?: string;
    variant?: string;
    price?: Amount;
    quantity?: number;
    coupon?: string;
    currency?: string;
    position?: number;
    url?: string;
    image_url?: string;
    cart_id?: Id;
    [own: string]: Value;
  };
  /** The cart was seen. */
  'Cart Viewed': {
    cart_id?: Id;
    products?: readonly Product[];
    [own: string]: Value;
  };
  /** The way to the order has begun. */
  'Checkout Started': {
    order_id?: Id;
    checkout_id?: Id;
    affiliation?: string;
    total?: Amount;
    revenue?: Amount;
    value?: Amount;
    subtotal?: Amount;
    shipping?: Amount;
    tax?: Amount;
    discount?: Amount;
    coupon?: string;
    currency?: string;
    products?: readonly Product[];
    [own: string]: Value;
  };
  /** A step on the way to the order was seen. */
  'Checkout Step Viewed': {
    checkout_id?: Id;
    order_id?: Id;
    step?: number;
    shipping_method?: string;
    payment_method?: string;
    [own: string]: Value;
  };
  /** A step on the way to the order is done. */
  'Checkout Step Completed': {
    checkout_id?: Id;
    order_id?: Id;
    step?: number;
    shipping_method?: string;
    payment_method?: string;
    [own: string]: Value;
  };
  /** How to pay is settled. */
  'Payment Info Entered': {
    checkout_id?: Id;
    order_id?: Id;
    step?: number;
    shipping_method?: string;
    payment_method?: string;
    [own: string]: Value;
  };
  /** An order was placed. `total` is what was paid; without a `currency` it is the site's own. */
  'Order Completed': {
    order_id: Id;
    checkout_id?: Id;
    affiliation?: string;
    total?: Amount;
    revenue?: Amount;
    value?: Amount;
    subtotal?: Amount;
    shipping?: Amount;
    tax?: Amount;
    discount?: Amount;
    coupon?: string;
    currency?: string;
    products?: readonly Product[];
    [own: string]: Value;
  };
  /** An order is another one than it was; `cancelled: false` takes a cancellation back. */
  'Order Updated': {
    order_id: Id;
    checkout_id?: Id;
    affiliation?: string;
    total?: Amount;
    revenue?: Amount;
    value?: Amount;
    subtotal?: Amount;
    shipping?: Amount;
    tax?: Amount;
    discount?: Amount;
    coupon?: string;
    currency?: string;
    cancelled?: boolean;
    products?: readonly Product[];
    [own: string]: Value;
  };
  /** An order was paid back: `amount` of it, or all without one. A refund counts once by its `refund_id`. */
  'Order Refunded': {
    order_id: Id;
    checkout_id?: Id;
    affiliation?: string;
    refund_id?: Id;
    amount?: Amount;
    total?: Amount;
    revenue?: Amount;
    value?: Amount;
    subtotal?: Amount;
    shipping?: Amount;
    tax?: Amount;
    discount?: Amount;
    coupon?: string;
    currency?: string;
    products?: readonly Product[];
    [own: string]: Value;
  };
  /** An order is none any more. */
  'Order Cancelled': {
    order_id: Id;
    checkout_id?: Id;
    affiliation?: string;
    total?: Amount;
    revenue?: Amount;
    value?: Amount;
    subtotal?: Amount;
    shipping?: Amount;
    tax?: Amount;
    discount?: Amount;
    coupon?: string;
    currency?: string;
    products?: readonly Product[];
    [own: string]: Value;
  };
  /** A coupon was typed in. */
  'Coupon Entered': {
    order_id?: Id;
    cart_id?: Id;
    coupon_id: Id;
    coupon_name?: string;
    [own: string]: Value;
  };
  /** A coupon has made something cheaper. */
  'Coupon Applied': {
    order_id?: Id;
    cart_id?: Id;
    coupon_id: Id;
    coupon_name?: string;
    discount?: Amount;
    currency?: string;
    [own: string]: Value;
  };
  /** A coupon was not taken. */
  'Coupon Denied': {
    order_id?: Id;
    cart_id?: Id;
    coupon_id: Id;
    coupon_name?: string;
    reason?: string;
    [own: string]: Value;
  };
  /** A coupon was taken off again. */
  'Coupon Removed': {
    order_id?: Id;
    cart_id?: Id;
    coupon_id: Id;
    coupon_name?: string;
    discount?: Amount;
    currency?: string;
    [own: string]: Value;
  };
  /** A product was put on a wish list. */
  'Product Added to Wishlist': {
    wishlist_id?: Id;
    wishlist_name?: string;
    product_id: Id;
    sku?: Id;
    name?: string;
    category?: string;
    brand?: string;
    variant?: string;
    price?: Amount;
    quantity?: number;
    coupon?: string;
    currency?: string;
    position?: number;
    url?: string;
    image_url?: string;
    [own: string]: Value;
  };
  /** A product was taken off a wish list. */
  'Product Removed from Wishlist': {
    wishlist_id?: Id;
    wishlist_name?: string;
    product_id: Id;
    sku?: Id;
    name?: string;
    category?: string;
    brand?: string;
    variant?: string;
    price?: Amount;
    quantity?: number;
    coupon?: string;
    currency?: string;
    position?: number;
    url?: string;
    image_url?: string;
    [own: string]: Value;
  };
  /** A product went from a wish list into the cart. */
  'Wishlist Product Added to Cart': {
    wishlist_id?: Id;
    wishlist_name?: string;
    cart_id?: Id;
    product_id: Id;
    sku?: Id;
    name?: string;
    category?: string;
    brand?: string;
    variant?: string;
    price?: Amount;
    quantity?: number;
    coupon?: string;
    currency?: string;
    position?: number;
    url?: string;
    image_url?: string;
    [own: string]: Value;
  };
  /** A product was shown to somebody else. */
  'Product Shared': {
    share_via?: string;
    share_message?: string;
    recipient?: string;
    product_id: Id;
    sku?: Id;
    name?: string;
    category?: string;
    brand?: string;
    variant?: string;
    price?: Amount;
    quantity?: number;
    coupon?: string;
    currency?: string;
    position?: number;
    url?: string;
    image_url?: string;
    [own: string]: Value;
  };
  /** A cart was shown to somebody else. */
  'Cart Shared': {
    share_via?: string;
    share_message?: string;
    recipient?: string;
    cart_id?: Id;
    products?: readonly Product[];
    [own: string]: Value;
  };
  /** A product was reviewed. */
  'Product Reviewed': {
    product_id: Id;
    review_id?: Id;
    review_body?: string;
    rating?: number;
    [own: string]: Value;
  };
}

/** The tag's `data-` attributes, and how its script is loaded. */
export interface Options {
  /** The site's public write key, `wk_…`. */
  site: string;
  /** How much may be told before anybody asks; `measure` if missing. */
  consent?: 'off' | 'measure' | 'full' | 'wait';
  /** The consent managers that are asked, by their names, separated by spaces. */
  consentFrom?: string;
  /** Who refuses there is not measured either. */
  refused?: 'off';
  /** The collector's origin. */
  api: string;
  /** The collector keeps the visitor in a cookie of its own, also where it is on another host of the site. */
  cookie?: boolean;
  /** Only so many percent of the visitors are told of, 1 to 99. */
  sample?: number;
  /** Never try WebAssembly, for pages whose policy forbids it and reports the attempt. */
  wasm?: 'off';
  /** Further hosts of the site's own, separated by commas: links there do not lead away, and take a visitor with consent `full` along. */
  domains?: string;
  /** The query parameters that hold what was searched for, separated by commas, or `off`. */
  search?: string;
  /** This page says that there is none. */
  404?: boolean | 'off';
  /** The name of what takes events beside the script; `v1/events` if missing. */
  endpoint?: string;
  /** Development mode on this machine, private addresses and the hosts that are named. */
  debug?: string;
  /** The part of an address behind `#` tells pages apart. */
  hash?: boolean;
  /** No page views by the page's own navigation. */
  history?: 'off';
  /** The time that visitors look at the page is not measured. */
  engagement?: 'off';
  /** How far visitors scroll is not measured. */
  scroll?: 'off';
  /** No events of clicks on buttons and links. */
  clicks?: 'off';
  /** No events of links that lead away. */
  outbound?: 'off';
  /** No events of downloads. */
  downloads?: 'off';
  /** No events of forms. */
  forms?: 'off';
  /** No events of products that the page describes for search engines. */
  products?: 'off';
  /** No events of videos. */
  video?: 'off';
  /** JavaScript errors are not counted. */
  errors?: 'off';
  /** Copied text is not counted. */
  copies?: 'off';
  /** Clicks on one place again and again are not counted. */
  rageClicks?: 'off';
  /** Clicks into nothing are not counted. */
  deadClicks?: 'off';
  /** The page's speed is not measured. */
  vitals?: 'off';
  /** Where the script is, if not at `/t.js` of `api`. */
  src?: string;
  /** The script's hash, for a `src` that is pinned. */
  integrity?: string;
  /** The nonce that the page's Content-Security-Policy asks for. */
  nonce?: string;
}

type Told<Name extends string> = Name extends keyof ShopEvents
  ? {} extends ShopEvents[Name]
    ? [properties?: ShopEvents[Name]]
    : [properties: ShopEvents[Name]]
  : [properties?: Properties];

/** The tracker of this page. On a server, and once its script could not be loaded, calls do nothing. */
export declare const segments: {
  /** Loads the tracker, once; what was called before is told then. */
  init(options: Options): void;
  /** Counts a page view now. The first one and those by history navigation are counted anyway. */
  page(): void;
  /** Tells of a named event: one of a shop, whose properties are known, or one of the site's own. */
  track<Name extends keyof ShopEvents | (string & {})>(name: Name, ...properties: Told<Name>): void;
  /** Says who the visitor is, or more of them. Needs consent `full`. */
  identify(userId: Id, traits?: Properties): void;
  /** Says who the visitor is, or more of them. Needs consent `full`. */
  identify(traits: Properties): void;
  /** Says which group, such as a company, the visitor belongs to. Needs consent `full`. */
  group(groupId: Id, traits?: Properties): void;
  /** Says that two user ids are one person. Needs consent `full`. */
  alias(userId: Id, previousId?: Id): void;
  /** Forgets the visitor, as at log-out: a new one begins. */
  reset(): void;
  /** How much may be told from now on. Not remembered: call it on every page. */
  consent(wanted: Consent): void;
  /** The visitor's own word, remembered: not to be told of, or again. Call it for a visitor's click only. */
  optOut(out: boolean): void;
  /** Calls back once it is clear how the tracker runs; never on a server. */
  ready(callback: (status: Status) => void): void;
};
