-- A book of %(clients)s clients: four markets, five audit events and a tenth of a key for each,
-- at an exchange where the client is quoted or was.
-- One market in the middle of the book has a twentieth of the clients, one client 3,000 markets.
SET session_replication_role = replica;
TRUNCATE clients, audit_events, token_pairs, markets, client_markets, exchange_api_keys CASCADE;
INSERT INTO admins (id, created_at, email, role, password_hash, is_disabled, token_version,
                    must_change_password)
SELECT gen_random_uuid(), now(), 'admin' || n || '@desk.local', 'operator', 'x', false, 1, false
FROM generate_series(1, 20) n ON CONFLICT DO NOTHING;
INSERT INTO clients (id, created_at, updated_at, name, wallet_address, chain, email, tier, status,
                     notes, settings, version)
SELECT gen_random_uuid(), moment, moment,
       CASE WHEN n %% 1000 = 7 THEN 'Москва ' WHEN n %% 1000 = 8 THEN '币安 '
            WHEN n %% 1000 = 9 THEN 'Österreich ' WHEN n %% 1000 = 10 THEN '100%% '
            ELSE (ARRAY['Alpha ', 'Desk ', 'Omega '])[n %% 3 + 1] END || md5(n::text),
       '0x' || lpad(to_hex(n), 40, '0'), 'evm', 'c' || n || '@example.com',
       (ARRAY['Basic', 'Standard', 'Premium', 'Enterprise'])[n %% 4 + 1],
       (ARRAY['active', 'active', 'paused', 'suspended', 'active'])[n %% 5 + 1], '', '{}', 1
FROM generate_series(1, %(clients)s) n, LATERAL (SELECT now() - n * interval '30 s') made (moment);
CREATE TEMP TABLE chosen AS SELECT id, row_number() OVER () - 1 AS n FROM clients;
INSERT INTO token_pairs (id, created_at, base_asset, quote_asset)
SELECT gen_random_uuid(), now(), 'BOOK' || n, 'USDT' FROM generate_series(1, %(markets)s / 50) n;
INSERT INTO markets (id, created_at, updated_at, token_pair_id, exchange, exchange_symbol, status,
                     version)
SELECT gen_random_uuid(), now(), now(), id, slug, base_asset || 'USDT', 'trading', 1
FROM token_pairs, (SELECT slug FROM exchanges ORDER BY slug LIMIT 50) venues;
CREATE TEMP TABLE places AS SELECT id, row_number() OVER (ORDER BY exchange, id) - 1 AS n
FROM markets;
ANALYZE chosen, places;
INSERT INTO client_markets (id, created_at, updated_at, client_id, market_id, bot, status, version)
SELECT gen_random_uuid(), now(), now(), chosen.id, places.id, 'market_maker',
       CASE (chosen.n + k) %% 10 WHEN 0 THEN 'paused' WHEN 1 THEN 'delisted' ELSE 'active' END, 1
FROM chosen, generate_series(0, 3) k, places
WHERE places.n = (chosen.n * 7919 + k * 104729) %% %(markets)s AND places.n <> %(markets)s / 2;
INSERT INTO client_markets (id, created_at, updated_at, client_id, market_id, bot, status, version)
SELECT gen_random_uuid(), now(), now(), chosen.id, places.id, 'market_maker', 'active', 1
FROM chosen, places WHERE places.n = %(markets)s / 2 AND chosen.n %% 20 = 0;
INSERT INTO client_markets (id, created_at, updated_at, client_id, market_id, bot, status, version)
SELECT gen_random_uuid(), now(), now(), chosen.id, places.id, 'market_maker', 'active', 1
FROM chosen, places WHERE chosen.n = 3 AND NOT EXISTS (
    SELECT FROM client_markets WHERE client_id = chosen.id AND market_id = places.id
) LIMIT 3000;
INSERT INTO exchange_api_keys (id, created_at, updated_at, client_id, exchange, label, is_testnet,
                               ip_note, stage, status, last_four, fingerprint, fields, credentials,
                               kek_version, permissions, version, expires_at)
SELECT gen_random_uuid(), now() - chosen.n * interval '30 s', now(), chosen.id, exchange,
       'main ' || chosen.n, false, '',
       CASE WHEN chosen.n %% 4 = 0 THEN 'destroyed' ELSE 'live' END,
       CASE WHEN chosen.n %% 4 = 0 THEN 'revoked' WHEN chosen.n %% 5000 = 1 THEN 'quarantined'
            ELSE 'verified' END,
       '1234', decode(md5(chosen.n::text), 'hex'), '{}',
       CASE WHEN chosen.n %% 4 = 0 THEN NULL ELSE '\x000001'::bytea END,
       CASE WHEN chosen.n %% 4 = 0 THEN NULL ELSE 1 END, '{}', 1,
       now() + chosen.n * interval '1 min'
FROM chosen JOIN places ON places.n = chosen.n * 7919 %% %(markets)s
JOIN markets ON markets.id = places.id
WHERE chosen.n < %(clients)s / 10;
INSERT INTO audit_events (uid, at, instance, admin_id, actor, address, request_id, status, event,
                          http, client_id, ms, details, mac_key, mac)
SELECT gen_random_uuid(), now() - n * interval '6 s', 'filled', people.id, people.email,
       '192.0.2.' || n %% 200, lpad(to_hex(n), 8, '0'), status,
       CASE WHEN status <> 'SUCCESS' THEN 'client.create_denied'
            WHEN n %% 5000 = 1 THEN 'exchange.disabled' ELSE 'client.created' END,
       201, chosen.id, n %% 50, '{"code": "invalid_input"}', 's00000000', '\x00'
FROM generate_series(1, 5 * %(clients)s) series (n)
JOIN (SELECT id, n AS place FROM chosen) chosen ON chosen.place = (series.n - 1) / 5
JOIN (
    SELECT id, email, row_number() OVER (ORDER BY email) - 1 AS place FROM admins
    WHERE email LIKE 'admin%%'
) people ON people.place = CASE WHEN series.n %% 100 < 60 THEN 0 ELSE series.n %% 20 END,
LATERAL (SELECT CASE WHEN n %% 5000 = 0 THEN 'ERROR' WHEN n %% 20 = 0 THEN 'INVALID'
                     ELSE 'SUCCESS' END) outcome (status)
