module bench;
  logic       clk = 0;
  logic       rst, used, lock;
  logic [1:0] way, locked_way, victim, newest;

  lru_order dut (
    .clk(clk), .rst(rst), .used(used), .way(way), .lock(lock), .locked_way(locked_way), .victim(victim), .newest(newest)
  );

  always #20 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int last_use[0:3];
  int now, oldest, second, latest;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic outputs;
    oldest = 0;
    latest = 0;
    for (int w = 1; w < 4; w++) begin
      if (last_use[w] < last_use[oldest]) oldest = w;
      if (last_use[w] > last_use[latest]) latest = w;
    end
    second = oldest == 0 ? 1 : 0;
    for (int w = 0; w < 4; w++) if (w != oldest && last_use[w] < last_use[second]) second = w;
    for (int l = 0; l < 8; l++) begin
      {lock, locked_way} = 3'(l);
      #1 check("victim", victim, lock && int'(locked_way) == oldest ? second : oldest);
      check("newest", newest, latest);
    end
  endtask

  task automatic cycle(input logic is_used, input logic [1:0] which);
    used = is_used;
    way = which;
    now++;
    if (rst) for (int w = 0; w < 4; w++) last_use[w] = now * 4 + w;
    else if (is_used) last_use[which] = now * 4;
    @(posedge clk);
    #1 outputs();
    @(negedge clk);
  endtask

  initial begin
    {used, way, lock, locked_way} = '0;
    now = 0;
    rst = 1;
    @(negedge clk);
    cycle(1, 2);
    rst = 0;
    cycle(0, 1);
    cycle(1, 0);
    cycle(1, 0);
    cycle(1, 2);
    cycle(1, 1);
    cycle(1, 3);
    cycle(1, 1);
    cycle(0, 2);
    repeat (3000) begin
      rst = random() % 128 == 0;
      cycle(random() % 4 != 0, 2'(random()));
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
