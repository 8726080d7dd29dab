module bench;
  logic       clk = 0;
  logic       rst, load, enable;
  logic [7:0] load_value, last, count;
  logic       wrapped;

  limit_counter dut (
    .clk(clk), .rst(rst), .load(load), .load_value(load_value), .enable(enable), .last(last), .count(count),
    .wrapped(wrapped)
  );

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  logic [7:0] want;
  logic       want_wrapped;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  // one clock cycle with the inputs that are set; called at a falling edge
  task automatic cycle;
    want_wrapped = 0;
    if (rst) want = 0;
    else if (load) want = load_value;
    else if (enable && want >= last) begin
      want = 0;
      want_wrapped = 1;
    end else if (enable) want = want + 1;
    @(negedge clk);
    check("count", count, want);
    check("wrapped", wrapped, want_wrapped);
  endtask

  initial begin
    {load, enable, load_value, last} = '0;
    want = 0;
    rst = 1;
    @(negedge clk);
    repeat (2) cycle();
    rst = 0;
    enable = 1;
    last = 8'd5;
    repeat (20) cycle();
    // a pulse of reset between two rising edges has no effect
    #1 rst = 1;
    #2 rst = 0;
    cycle();
    last = 8'd0;
    repeat (4) cycle();
    last = 8'd255;
    load = 1;
    load_value = 8'd250;
    cycle();
    load = 0;
    repeat (12) cycle();
    load = 1;
    load_value = 8'd200;
    last = 8'd10;
    cycle();
    load = 0;
    repeat (3) cycle();
    repeat (3000) begin
      rst = random() % 64 == 0;
      load = random() % 16 == 0;
      enable = random() % 4 != 0;
      load_value = 8'(random());
      if (random() % 32 == 0) last = 8'(random() % 24);
      cycle();
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
