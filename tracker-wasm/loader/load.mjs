// For tests: imports a module of the loader. As data URLs, one within the other, because the sources are ES modules for a
// bundler and have no package.json to say so.

import { readFileSync } from 'node:fs';

const urlOf = (file) =>
  'data:text/javascript,' +
  encodeURIComponent(
    readFileSync(file, 'utf8').replace(/from '(\..+)'/g, (whole, path) => `from ${JSON.stringify(urlOf(new URL(path, file)))}`),
  );

export default (name) => import(urlOf(new URL(name, import.meta.url)));
