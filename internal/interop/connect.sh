# Connects with pppd, which runs sstpc on its pty; sstpc's plugin tells it the end of authentication. Prints what came.
# TIMEOUT is in seconds.
cd /mnt
rm -f up up6 pppd.log sstpc.log pppd.out
dev=vec0
# sstpc gives up when the server's TLS answer is there before it asks: no real network is that fast.
tc qdisc replace dev $dev root netem delay 20ms
pppd nodetach call dialway >/mnt/pppd.out 2>&1 </dev/null &
pid=$!
echo $pid >/tmp/pppd.pid
end=$((EPOCHSECONDS + TIMEOUT))
while [ ! -e up ] && [ $EPOCHSECONDS -lt $end ] && kill -0 $pid 2>/dev/null; do nap 0.05; done
if [ ! -e up ]; then
  kill -0 $pid 2>/dev/null && why=timeout || { wait $pid; why="status $?"; }
  kill $pid 2>/dev/null; nap 0.3
  echo "refused=$why"
  exit 1
fi
tc qdisc del dev $dev root
if [ "$IPV6" = 1 ]; then
  for ((n = 0; n < 100; n++)); do [ -e up6 ] && break; nap 0.1; done
  cat up6
fi
cat up
