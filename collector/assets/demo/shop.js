// The demo shop: a cart in the browser, and the calls a real shop would make to Segments.
(() => {
  'use strict';

  const CURRENCY = 'USD';
  const CART = 'kettle-crema:cart';
  const CUSTOMER = 'kettle-crema:customer';
  const ORDER = 'kettle-crema:order';
  const page = document.body.dataset.page;
  const base = document.body.dataset.base;

  // The tag is async: calls made before it has arrived wait for it here, in order.
  const waiting = [];
  const tag = document.querySelector('script[data-site]');
  const send = (method, ...args) => {
    if (window.segments) window.segments[method](...args);
    else waiting.push([method, ...args]);
  };
  tag.addEventListener('load', () => waiting.splice(0).forEach((call) => send(...call)));

  // Storage can be full or forbidden; the shop then forgets, and nothing else happens.
  const read = (store, key, otherwise) => {
    try {
      return JSON.parse(store.getItem(key)) ?? otherwise;
    } catch {
      return otherwise;
    }
  };
  const write = (store, key, value) => {
    try {
      if (value === null) store.removeItem(key);
      else store.setItem(key, JSON.stringify(value));
    } catch {
      // See above.
    }
  };

  const cart = () => read(localStorage, CART, []);
  const cents = (lines) => lines.reduce((sum, line) => sum + Math.round(line.price * 100) * line.quantity, 0);
  const money = (minor) => '$' + (minor / 100).toFixed(2);
  const shipping = (lines) => (lines.length > 0 && cents(lines) < 4000 ? 490 : 0);
  const total = (lines) => cents(lines) + shipping(lines);
  const order = (lines) => ({
    total: total(lines) / 100,
    currency: CURRENCY,
    ...(shipping(lines) && { shipping: shipping(lines) / 100 }),
    products: lines,
  });
  const say = (form, text) => { form.querySelector('output').textContent = text; };

  // No server keeps customers here, so that the same address has to give the same id on every device.
  const userId = (email) => {
    let hash = 0x811c9dc5;
    for (const byte of new TextEncoder().encode(email)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
    return 'demo-' + hash.toString(16).padStart(8, '0');
  };
  const introduce = (fields, more) => {
    const email = fields.get('email').trim().toLowerCase();
    const name = (fields.get('name') || '').trim();
    const traits = { email, ...(name && { name }), ...more };
    write(localStorage, CUSTOMER, { email, name });
    send('identify', userId(email), traits);
    return traits;
  };

  const keep = (lines) => {
    write(localStorage, CART, lines);
    show();
  };

  const element = (name, text, props) => Object.assign(document.createElement(name), { textContent: text }, props);

  const show = () => {
    const lines = cart();
    document.getElementById('cart-count').textContent = lines.reduce((n, line) => n + line.quantity, 0);
    for (const sum of document.querySelectorAll('[data-total]')) sum.textContent = money(total(lines));
    const list = document.getElementById('cart-lines');
    if (!list) return;
    list.replaceChildren(...lines.map((line) => {
      const row = document.createElement('li');
      const what = element('span', line.name);
      what.append(element('small', `${line.quantity} × ${money(line.price * 100)}`));
      row.append(what, element('b', money(cents([line]))));
      if (page === 'cart') {
        const remove = element('button', 'Remove', { type: 'button', className: 'quiet' });
        remove.setAttribute('aria-label', `Remove ${line.name}`);
        remove.addEventListener('click', () => {
          send('track', 'Product Removed', { ...line, currency: CURRENCY });
          keep(cart().filter((other) => other.product_id !== line.product_id));
        });
        row.append(remove);
      }
      return row;
    }));
    if (shipping(lines)) {
      const row = document.createElement('li');
      row.append(element('span', 'Shipping'), element('b', money(shipping(lines))));
      list.append(row);
    }
    const full = document.getElementById('cart-full');
    if (full) {
      full.hidden = lines.length === 0;
      document.getElementById('cart-empty').hidden = lines.length > 0;
    }
  };

  const product = () => {
    const { id, name, price, category } = document.querySelector('[data-product]').dataset;
    return { product_id: id, name, category, price: Number(price) };
  };

  const forms = {
    add(form, fields) {
      const quantity = Math.min(20, Math.max(1, Math.trunc(Number(fields.get('quantity'))) || 1));
      const added = { ...product(), quantity };
      const lines = cart();
      const same = lines.find((line) => line.product_id === added.product_id);
      if (same) same.quantity += quantity;
      else lines.push(added);
      send('track', 'Product Added', { ...added, currency: CURRENCY });
      keep(lines);
      say(form, 'In your cart.');
    },
    newsletter(form, fields) {
      introduce(fields, { newsletter: true });
      send('track', 'Newsletter Subscribed', { list: 'sunday-pour', placement: page });
      form.reset();
      say(form, 'Welcome! The first letter comes on Sunday.');
    },
    account(form, fields) {
      introduce(fields);
      send('track', 'Signed In', { method: 'email' });
      form.reset();
      account();
    },
    checkout(form, fields) {
      const lines = cart();
      if (lines.length === 0) {
        say(form, 'Your cart is empty.');
        return;
      }
      const city = (fields.get('city') || '').trim();
      introduce(fields, city && { address: { city } });
      const id = 'KC-' + Date.now().toString(36).toUpperCase() + '-' + Math.random().toString(36).slice(2, 6).toUpperCase();
      write(sessionStorage, ORDER, { order_id: id, ...order(lines), payment_method: fields.get('payment') });
      keep([]);
      location.href = base + 'thank-you';
    },
  };

  for (const form of document.querySelectorAll('form[data-form]')) {
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      forms[form.dataset.form](form, new FormData(form));
    });
  }

  const account = () => {
    const customer = read(localStorage, CUSTOMER, null);
    const box = document.getElementById('signed-in');
    box.hidden = !customer;
    document.querySelector('form[data-form=account]').hidden = Boolean(customer);
    if (customer) box.firstElementChild.textContent = `Signed in as ${customer.email}.`;
  };

  const arrive = {
    product() {
      send('track', 'Product Viewed', { ...product(), currency: CURRENCY });
    },
    list() {
      const list = document.querySelector('[data-list]');
      const products = [...list.querySelectorAll('[data-id]')].map((item) => ({ product_id: item.dataset.id }));
      send('track', 'Product List Viewed', { list_id: list.dataset.list, category: list.dataset.category, products });
    },
    cart() {
      if (cart().length > 0) send('track', 'Cart Viewed', order(cart()));
    },
    checkout() {
      if (cart().length > 0) send('track', 'Checkout Started', order(cart()));
      const customer = read(localStorage, CUSTOMER, {});
      for (const name of ['name', 'email']) document.getElementById(name).value = customer[name] || '';
    },
    'thank-you'() {
      const placed = read(sessionStorage, ORDER, null);
      if (!placed) return;
      // Once: coming back to this page is no second order.
      write(sessionStorage, ORDER, null);
      send('track', 'Order Completed', placed);
      document.getElementById('order-line').textContent =
        `Order ${placed.order_id} over ${money(placed.total * 100)} is on its way to nowhere: this is a demo.`;
    },
    account() {
      document.querySelector('[data-sign-out]').addEventListener('click', () => {
        write(localStorage, CUSTOMER, null);
        send('reset');
        account();
      });
      account();
    },
  };

  for (const link of document.querySelectorAll('.top nav a')) {
    if (link.href === location.href.split(/[?#]/)[0]) link.setAttribute('aria-current', 'page');
  }
  show();
  const kind = document.querySelector('[data-product]') ? 'product' : document.querySelector('[data-list]') ? 'list' : page;
  if (Object.hasOwn(arrive, kind)) arrive[kind]();
  // Back from the browser's page cache the cart may have changed meanwhile.
  addEventListener('pageshow', (event) => { if (event.persisted) show(); });
})();
