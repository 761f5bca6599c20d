-- +goose Up

-- What a receiver answered and what went wrong underneath are not kept: they tell
-- of networks that only the installation sees. The errors kept are a closed set.
ALTER TABLE channel_attempts DROP COLUMN response;
UPDATE channel_attempts SET error = 'the message could not be sent'
WHERE error <> '' AND error !~ '^the receiver answered [0-9]{3}$';

-- +goose Down

ALTER TABLE channel_attempts ADD COLUMN response text NOT NULL DEFAULT '';
