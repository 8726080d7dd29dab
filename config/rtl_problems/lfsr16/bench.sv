module bench;
  logic        clk = 0;
  logic        rst, load, enable, bit_out;
  logic [15:0] seed_in, state;

  lfsr16 dut (
    .clk(clk), .rst(rst), .load(load), .seed(seed_in), .enable(enable), .state(state), .bit_out(bit_out)
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
  logic [15:0] want;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic cycle;
    if (rst) want = 16'd1;
    else if (load) want = seed_in != 0 ? seed_in : 16'd1;
    else if (enable) begin
      if (want % 2 == 1) want = (want / 2) ^ 16'b1011_0100_0000_0000;
      else want = want / 2;
    end
    @(negedge clk);
    check("state", state, want);
    check("bit_out", bit_out, want % 2);
  endtask

  initial begin
    {load, enable, seed_in} = '0;
    want = 1;
    rst = 1;
    @(negedge clk);
    cycle();
    rst = 0;
    cycle();
    enable = 1;
    repeat (300) cycle();
    load = 1;
    seed_in = 0;
    cycle();
    load = 0;
    repeat (20) cycle();
    repeat (2000) begin
      rst = random() % 100 == 0;
      load = random() % 16 == 0;
      enable = random() % 4 != 0;
      seed_in = random() % 4 == 0 ? 16'd0 : 16'(random());
      cycle();
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
