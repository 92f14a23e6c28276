// Keeps what is sent with PUT /files/NAME, and gives it back.
const fs = require('fs');
const http = require('http');
const path = require('path');

const directory = path.resolve(process.env.UPLOAD_DIR);

http.createServer((request, response) => {
  const name = path.normalize(decodeURIComponent(request.url.replace(/^\/files\//, '')));
  if (!request.url.startsWith('/files/') || name.split('/').includes('..')) {
    response.writeHead(404).end();
    return;
  }
  const file = path.join(directory, name);
  if (request.method === 'PUT') {
    request.pipe(fs.createWriteStream(file)).on('finish', () => response.writeHead(201).end());
    return;
  }
  fs.readFile(file, (error, content) => {
    if (error) response.writeHead(404).end();
    else response.writeHead(200, { 'Content-Type': 'application/octet-stream' }).end(content);
  });
}).listen(3000);
