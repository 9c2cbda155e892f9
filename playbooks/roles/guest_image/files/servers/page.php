<?php
// The dynamic page of the workload `web`: a table that is computed again for each request.
$number = filter_input(INPUT_GET, 'n', FILTER_VALIDATE_INT);
if ($number === null || $number === false) {
    http_response_code(400);
    exit('n must be a whole number');
}
header('Content-Type: text/html; charset=utf-8');
$rows = [];
for ($row = 0; $row < 60; $row++) {
    $digest = md5("$number/$row");
    $words = str_split(strtr($digest, '0123456789', 'ghijklmnop'), 8);
    usort($words, fn ($one, $other) => strcmp(strrev($one), strrev($other)));
    $rows[] = [$row, crc32($digest) % 100000, ucfirst(implode(' ', $words))];
}
usort($rows, fn ($one, $other) => $one[1] <=> $other[1]);
?>
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Page <?= $number ?></title></head>
<body>
<h1>Page <?= $number ?></h1>
<table>
<?php foreach ($rows as [$row, $value, $words]): ?>
<tr><td><?= $row ?></td><td><?= number_format($value / 100, 2) ?></td><td><?= htmlspecialchars($words) ?></td></tr>
<?php endforeach ?>
</table>
</body>
</html>
