import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseRedisUrl, type RedisTarget } from './redis-url.ts';

const plain: RedisTarget = {
  topology: 'Standalone',
  tls: false,
  endpoints: [{ host: 'h', port: 6379 }],
  username: '',
  password: '',
  primaryName: '',
  database: 0,
};

describe('parseRedisUrl', () => {
  const good: readonly (readonly [string, Partial<RedisTarget>])[] = [
    ['redis://h', {}],
    ['redis://h/', {}],
    ['redis://h:6380/2', { endpoints: [{ host: 'h', port: 6380 }], database: 2 }],
    ['redis://:pw@h', { password: 'pw' }],
    ['redis://user:p%40%2fw%3a@h', { username: 'user', password: 'p@/w:' }],
    ['redis://:a:b@h', { password: 'a:b' }],
    ['rediss://[::1]:6379', { tls: true, endpoints: [{ host: '::1', port: 6379 }] }],
    [
      'redis+sentinel://u:p@s1,s2:26380/mymaster',
      {
        topology: 'Sentinel',
        username: 'u',
        password: 'p',
        primaryName: 'mymaster',
        endpoints: [
          { host: 's1', port: 26_379 },
          { host: 's2', port: 26_380 },
        ],
      },
    ],
    ['rediss+sentinel://h:6379/m/3', { topology: 'Sentinel', tls: true, primaryName: 'm', database: 3 }],
    [
      'rediss+cluster://h,[fd00::1]:7000',
      {
        topology: 'Cluster',
        tls: true,
        endpoints: [
          { host: 'h', port: 6379 },
          { host: 'fd00::1', port: 7000 },
        ],
      },
    ],
  ];
  for (const [text, expected] of good) {
    it(`takes ${text}`, () => assert.deepEqual(parseRedisUrl(text), { ...plain, ...expected }));
  }

  for (const text of [
    '',
    'h:6379',
    'http://h',
    'redis://',
    'redis://h:0',
    'redis://h:65536',
    'redis://h:6379:1',
    'redis://a,b',
    'redis://h/x',
    'redis://h/0/1',
    'redis://h?db=1',
    'redis://h#1',
    'redis://a@b@h',
    'redis://p%ZZ@h',
    'redis:h',
    'redis://h\n',
    'redis+sentinel://h',
    'redis+sentinel://h/',
    'redis+sentinel://h,/m',
    'redis+cluster://h/1',
    'redis+cluster://h,,i',
    'redis+tls://h',
    `redis+cluster://${'h,'.repeat(32)}h`,
  ]) {
    it(`takes nothing of ${JSON.stringify(text).slice(0, 60)}`, () => assert.equal(parseRedisUrl(text), null));
  }
});
