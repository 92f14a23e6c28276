<?php
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    move_uploaded_file($_FILES['photo']['tmp_name'], 'photos/' . basename($_FILES['photo']['name']));
    http_response_code(201);
    exit;
}
foreach (glob('photos/*') as $photo) {
    echo '<img src="/', htmlspecialchars($photo), '">';
}
