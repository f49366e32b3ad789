// A page of a site that is built with a bundler: esbuild, Vite, webpack, whichever takes modules.
// `esbuild shop.ts --bundle --outfile=shop.js`

import { segments, type Product } from '@segments/tracker';

const product: Product = { product_id: 'G-32', name: 'Kettle', category: 'Gear', price: 49.9, currency: 'EUR' };

// Before `init`: kept, and told in this order once the tracker is there.
segments.track('Product Viewed', product);

segments.init({ site: 'wk_YOUR_KEY', api: 'https://s.shop.example', consent: 'full' });

const on = (id: string, run: () => void) => document.getElementById(id)!.addEventListener('click', run);

on('add', () => segments.track('Product Added', { ...product, quantity: 1 }));
on('log-in', () => segments.identify('customer-17', { email: 'mia@mail.example', plan: 'pro' }));
on('buy', () => {
  segments.track('Order Completed', {
    order_id: document.getElementById('order')!.textContent!,
    total: 52.9,
    shipping: 3,
    currency: 'EUR',
    products: [{ ...product, quantity: 1 }],
  });
});
on('choose', () => segments.track('Plan Chosen', { plan: 'pro' }));
on('refuse', () => segments.consent('measure'));

segments.ready(({ engine }) => (document.getElementById('engine')!.textContent = engine));
