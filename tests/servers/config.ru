# An app for Rack.
run lambda { |env|
  sleep 8 if env["PATH_INFO"] == "/slow"
  [200, { "Content-Length" => "3" }, ["ok\n"]]
}
