SELECT user_id
FROM users
WHERE user_id IN (
  SELECT user_id
  FROM users
  WHERE first_seen > {from_at:DateTime64(3, 'UTC')}
    AND first_seen <= {at:DateTime64(3, 'UTC')}
)
GROUP BY user_id
HAVING min(first_seen) > {from_at:DateTime64(3, 'UTC')}

