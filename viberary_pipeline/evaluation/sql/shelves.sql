-- Grain: a shelf that stands among the first $used of some books, and not of too few. Input: `books`.
SELECT name
FROM (SELECT lower(unnest(popular_shelves[:$used])) AS name FROM books)
GROUP BY name
HAVING count(*) >= $least
ORDER BY name
