-- What indexer-service and tap-agent read, write and listen to: tables, indexes, triggers and notifications by the
-- names and types their queries use. Addresses and collections are hexadecimal, lower-case, without 0x.
-- Every statement can be run again on a database that has it all.

CREATE TABLE IF NOT EXISTS tap_horizon_receipts (
    id               BIGSERIAL PRIMARY KEY,
    signer_address   CHAR(40) NOT NULL,
    signature        BYTEA NOT NULL,
    collection_id    CHAR(64) NOT NULL,
    payer            CHAR(40) NOT NULL,
    data_service     CHAR(40) NOT NULL,
    service_provider CHAR(40) NOT NULL,
    timestamp_ns     NUMERIC(20) NOT NULL,
    nonce            NUMERIC(20) NOT NULL,
    value            NUMERIC(39) NOT NULL
);
CREATE INDEX IF NOT EXISTS tap_horizon_receipts_collection_id_idx ON tap_horizon_receipts (collection_id);
CREATE INDEX IF NOT EXISTS tap_horizon_receipts_timestamp_ns_idx ON tap_horizon_receipts (timestamp_ns);

-- The agent counts a receipt when it hears of it here.
CREATE OR REPLACE FUNCTION tap_horizon_receipt_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tap_horizon_receipt_notification', format(
        '{"id": %s, "collection_id": "%s", "signer_address": "%s", "timestamp_ns": %s, "value": %s}',
        NEW.id, NEW.collection_id, NEW.signer_address, NEW.timestamp_ns, NEW.value));
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER receipt_update AFTER INSERT OR UPDATE ON tap_horizon_receipts
    FOR EACH ROW EXECUTE FUNCTION tap_horizon_receipt_notify();

CREATE TABLE IF NOT EXISTS tap_horizon_receipts_invalid (
    id               BIGSERIAL PRIMARY KEY,
    signer_address   CHAR(40) NOT NULL,
    signature        BYTEA NOT NULL,
    collection_id    CHAR(64) NOT NULL,
    payer            CHAR(40) NOT NULL,
    data_service     CHAR(40) NOT NULL,
    service_provider CHAR(40) NOT NULL,
    timestamp_ns     NUMERIC(20) NOT NULL,
    nonce            NUMERIC(20) NOT NULL,
    value            NUMERIC(39) NOT NULL,
    error_log        TEXT NOT NULL DEFAULT ''
);

CREATE TABLE IF NOT EXISTS tap_horizon_ravs (
    signature        BYTEA NOT NULL,
    collection_id    CHAR(64) NOT NULL,
    payer            CHAR(40) NOT NULL,
    data_service     CHAR(40) NOT NULL,
    service_provider CHAR(40) NOT NULL,
    timestamp_ns     NUMERIC(20) NOT NULL,
    value_aggregate  NUMERIC(39) NOT NULL,
    metadata         BYTEA NOT NULL,
    last             BOOLEAN NOT NULL DEFAULT FALSE,
    final            BOOLEAN NOT NULL DEFAULT FALSE,
    redeemed_at      TIMESTAMPTZ,
    created_at       TIMESTAMPTZ,
    updated_at       TIMESTAMPTZ,
    PRIMARY KEY (payer, data_service, service_provider, collection_id)
);
CREATE INDEX IF NOT EXISTS idx_tap_horizon_ravs_last_redeemed ON tap_horizon_ravs (service_provider)
    WHERE last = TRUE AND redeemed_at IS NOT NULL;

-- The service refuses receipts of a collection whose closing RAV it hears to be redeemed.
CREATE OR REPLACE FUNCTION tap_horizon_rav_redeemed_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tap_horizon_rav_redeemed_notification', format(
        '{"redeemed": %s, "payer": "%s", "data_service": "%s", "service_provider": "%s", "collection_id": "%s"}',
        CASE WHEN NEW.last AND NEW.redeemed_at IS NOT NULL THEN 'true' ELSE 'false' END,
        NEW.payer, NEW.data_service, NEW.service_provider, NEW.collection_id));
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER rav_redeemed_notify AFTER INSERT OR UPDATE OF last, redeemed_at ON tap_horizon_ravs
    FOR EACH ROW EXECUTE FUNCTION tap_horizon_rav_redeemed_notify();

CREATE TABLE IF NOT EXISTS tap_horizon_denylist (
    sender_address CHAR(40) PRIMARY KEY
);

-- The agent writes the denylist, the service hears of it here.
CREATE OR REPLACE FUNCTION tap_horizon_deny_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tap_horizon_deny_notification', format(
        '{"tg_op": "%s", "sender_address": "%s"}',
        TG_OP, CASE WHEN TG_OP = 'DELETE' THEN OLD.sender_address ELSE NEW.sender_address END));
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER deny_update AFTER INSERT OR UPDATE OR DELETE ON tap_horizon_denylist
    FOR EACH ROW EXECUTE FUNCTION tap_horizon_deny_notify();

-- Where the agent writes RAV requests that failed: this table, of the version before, although they are of the new one.
CREATE TABLE IF NOT EXISTS scalar_tap_rav_requests_failed (
    id             BIGSERIAL PRIMARY KEY,
    allocation_id  CHAR(40) NOT NULL,
    sender_address CHAR(40) NOT NULL,
    expected_rav   JSON NOT NULL,
    rav_response   JSON NOT NULL,
    reason         TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS "CostModels" (
    id         INT,
    deployment VARCHAR PRIMARY KEY,
    model      TEXT,
    variables  JSONB
);

-- The service reads the changed model from the notification, where it wants text.
CREATE OR REPLACE FUNCTION cost_models_update_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM pg_notify('cost_models_update_notification', json_build_object(
            'tg_op', TG_OP, 'deployment', OLD.deployment)::text);
    ELSE
        PERFORM pg_notify('cost_models_update_notification', json_build_object(
            'tg_op', TG_OP, 'deployment', NEW.deployment, 'model', coalesce(NEW.model, ''),
            'variables', coalesce(NEW.variables::text, ''))::text);
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER cost_models_update AFTER INSERT OR UPDATE OR DELETE ON "CostModels"
    FOR EACH ROW EXECUTE FUNCTION cost_models_update_notify();
