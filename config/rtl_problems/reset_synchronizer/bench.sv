module bench;
  logic clk = 0;
  logic async_rst_n, rst_n;

  reset_synchronizer dut (.clk(clk), .async_rst_n(async_rst_n), .rst_n(rst_n));

  always #10 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int edges;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic assert_reset;
    async_rst_n = 0;
    edges = 0;
    #1 check("rst_n directly after the assertion", rst_n, 0);
  endtask

  task automatic wait_edge;
    @(negedge clk);
    if (async_rst_n) edges++;
    check("rst_n", rst_n, edges >= 2);
  endtask

  initial begin
    async_rst_n = 1;
    @(negedge clk);
    #3 assert_reset();
    wait_edge();
    wait_edge();
    for (int cycles = 0; cycles < 4; cycles++) begin
      #(1 + random() % 8) async_rst_n = 1;
      repeat (cycles) wait_edge();
      #(1 + random() % 8) assert_reset();  // before the clock edge
      async_rst_n = 1;  // a short pulse counts
      repeat (4) wait_edge();
      assert_reset();
      wait_edge();
    end
    repeat (500) begin
      if (random() % 3 == 0) begin
        #(1 + random() % 7) assert_reset();
        if (random() % 2 == 0) async_rst_n = 1;
      end else if (random() % 2 == 0) begin
        #(1 + random() % 8) async_rst_n = 1;
      end
      wait_edge();
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
