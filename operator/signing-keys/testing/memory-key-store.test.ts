import { keySetStoreSuite } from './key-set-store-suite.ts';
import { MemoryKeyStore } from './memory-key-store.ts';

keySetStoreSuite('MemoryKeyStore', async () => {
  const store = new MemoryKeyStore();
  return { open: () => store };
});
