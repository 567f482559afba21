import { MemoryStore } from '../../sidecar/stores/memory-store.ts';
import { limiterSuite } from './limiter-suite.ts';

const store = new MemoryStore();

limiterSuite('in memory', { store: () => store, runs: 300, windows: 1000 });
