// Shorter forms of functions that wasm-bindgen generates. `cargo xtask assets` puts each in the place of the generated
// function of the same name, and fails where there is none any more. What is left out serves old engines, memories and
// strings of gigabytes, and closures that are lost without being dropped; the core has none of them.

function getDataViewMemory0() {
  return new DataView(wasm.memory.buffer);
}

function getArrayU8FromWasm0(ptr, len) {
  return new Uint8Array(wasm.memory.buffer, ptr, len);
}

function getStringFromWasm0(ptr, len) {
  return cachedTextDecoder.decode(getArrayU8FromWasm0(ptr, len));
}

function passStringToWasm0(text, malloc) {
  const bytes = cachedTextEncoder.encode(text);
  const ptr = malloc((WASM_VECTOR_LEN = bytes.length), 1);
  getArrayU8FromWasm0(ptr, WASM_VECTOR_LEN).set(bytes);
  return ptr;
}

function makeMutClosure(data, vtable, call) {
  // Counted, because the core drops a timer while that timer's closure runs.
  let uses = 1;
  const closure = () => {
    uses++;
    call(data, vtable);
    closure._wbg_cb_unref();
  };
  closure._wbg_cb_unref = () => --uses || DROP_CLOSURE(data, vtable);
  return closure;
}
