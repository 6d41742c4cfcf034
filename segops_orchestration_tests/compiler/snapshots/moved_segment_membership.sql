SELECT user_id
FROM users
WHERE first_seen > {from_at:DateTime64(3, 'UTC')}
  AND first_seen <= {at:DateTime64(3, 'UTC')}

