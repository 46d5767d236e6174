# Ends the connection in good order, and says whether it did.
read -r pid </tmp/pppd.pid
kill $pid 2>/dev/null || { echo "ended before"; exit 1; }
for ((n = 0; n < 100; n++)); do kill -0 $pid 2>/dev/null || exit 0; nap 0.1; done
kill -9 $pid
echo "pppd did not end in 10 s"
exit 1
